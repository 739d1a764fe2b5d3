"""Near-duplicates inside and across attribute halves (Topeza 2025, sections 3.3 and 8)."""

from pathlib import Path

import numpy as np

from audit.measures.record import mean_over, record
from core.data.celeba import read_celeba
from core.dedup.pairs import Pairs, kept
from core.dedup.search import near_duplicates
from core.splits.build import by_attribute
from fixtures.faces.corpus import generate
from fixtures.published.files import Published
from reports.record import ClaimRecord

ATTRIBUTES = ("Male", "Eyeglasses")
CORPORA = range(8)
CORPUS_SIZE = 2000
DUPLICATES = 0.03  # CelebA's share of near-duplicates (T 3.3: 6,354 of 202,589)
EXCESS = "redundancy of {} halves minus that of deduplicated random halves"


def redundancy(pairs: Pairs, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Shares of the images of two halves (index arrays) that have a near-duplicate in their own, or the other, half."""
    side = np.zeros(1 + max(a.max(), b.max(), pairs.j.max(initial=0)), dtype=np.int8)
    side[a], side[b] = 1, 2
    left, right = side[pairs.i], side[pairs.j]
    inside, across = (left == right) & (left > 0), (left != right) & (left > 0) & (right > 0)
    touched = [len(np.union1d(pairs.i[which], pairs.j[which])) for which in (inside, across)]
    return dict(zip(("inside", "across"), (t / (len(a) + len(b)) for t in touched), strict=True))


def removable(pairs: Pairs, half: np.ndarray) -> float:
    """Share of a half (indices of its images) that the published rule would remove from it."""
    inside = np.isin(pairs.i, half) & np.isin(pairs.j, half)
    return len(np.unique(pairs.j[inside])) / len(half)


def excess(pairs: Pairs, n: int, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Redundancy of two halves of `n` images minus that of random halves, as large, of what removal leaves."""
    left = rng.permutation(kept(pairs, n).kept)
    size = min(len(a), len(left) // 2)
    both = [np.mean([removable(pairs, half) for half in halves]) for halves in ((a, b), (left[:size], left[-size:]))]
    return float(both[0] - both[1])


def one_corpus(seed: int, n: int = CORPUS_SIZE, duplicates: float = DUPLICATES) -> dict[str, float]:
    """Redundancy of the attribute halves of one generated corpus, and of random halves of the same sizes.

    `duplicates` is the share of its images that are planted near-duplicates of others.
    """
    corpus = generate(n, size=20, seed=seed, duplicates=duplicates).corpus
    assert corpus.attributes is not None
    pairs = near_duplicates(corpus.images)
    place = {name: k for k, name in enumerate(corpus.names)}
    found = {"whole": len(np.union1d(pairs.i, pairs.j)) / n}
    for attribute in ATTRIBUTES:
        groups = by_attribute(corpus.names, corpus.attributes[attribute], seed, attribute=attribute).groups
        a, b = (np.array([place[name] for name in groups[group]]) for group in "AB")
        shuffled = np.random.default_rng(seed).permutation(n)
        halves, by_chance = redundancy(pairs, a, b), redundancy(pairs, shuffled[: len(a)], shuffled[-len(a) :])
        label = attribute.lower()
        found[EXCESS.format(label)] = excess(pairs, n, a, b, np.random.default_rng(seed))
        found |= {f"{label}_{name}": value for name, value in halves.items()}
        found |= {f"{label}_{name}_random_halves": value for name, value in by_chance.items()}
        found[f"{label}_random_minus_across"] = by_chance["across"] - halves["across"]
    return found


def _exempt_on_celeba(evidence: ClaimRecord, celeba: Path, published: Published | None) -> None:
    """The published halves where they are at hand, else halves built here; random halves over 20 seeds."""
    corpus = read_celeba(celeba)
    assert corpus.attributes is not None
    pairs = near_duplicates(corpus.images)
    place = {name: k for k, name in enumerate(corpus.names)}
    evidence.add("whole", len(np.union1d(pairs.i, pairs.j)) / len(corpus), kind="celeba", n=len(corpus))
    for attribute in ATTRIBUTES:
        label = attribute.lower()
        groups = by_attribute(corpus.names, corpus.attributes[attribute], 0, attribute=attribute).groups
        lists = list(groups.values())
        if published is not None:
            order = published.male if attribute == "Male" else published.eyeglasses
            lists = [tuple(order[: len(order) // 2]), tuple(order[len(order) // 2 :])]
            lists = [tuple(name for name in names if name in place) for names in lists]  # CelebA may be here in part
        a, b = (np.array([place[name] for name in names]) for names in lists)
        halves, differences, more = redundancy(pairs, a, b), [], []
        for seed in range(20):
            more.append(excess(pairs, len(corpus), a, b, np.random.default_rng(seed)))
            order_at_random = np.random.default_rng(seed).permutation(len(corpus))
            by_chance = redundancy(pairs, order_at_random[: len(a)], order_at_random[-len(b) :])
            differences.append(by_chance["across"] - halves["across"])
        for name, value in halves.items():
            evidence.add(f"{label}_{name}", value, kind="celeba", n=len(a) + len(b), unit="share of the images")
        for name, values in ((EXCESS.format(label), more), (f"{label}_random_minus_across", differences)):
            record(
                evidence,
                {name: mean_over(values, "random halves")},
                kind="celeba",
                n=len(values),
                seeds="0:20",
                varies="random halves",
                unit="share of the images",
            )


def exempt_measures(corpora: list[dict[str, float]]) -> dict[str, object]:
    """What T-dedup-attribute-exempt is judged by, from what `one_corpus` measured on each."""
    found: dict[str, object] = {}
    for name in (EXCESS.format(attribute.lower()) for attribute in ATTRIBUTES):
        found[name] = mean_over([corpus[name] for corpus in corpora], "corpora")
    return found


def record_exempt(evidence: ClaimRecord, celeba_dir: Path | None, published_or_none: Published | None) -> None:
    """Near-duplicates inside and across attribute halves against random ones (T-dedup-attribute-exempt)."""
    measured = [one_corpus(seed) for seed in CORPORA]
    for name in measured[0]:
        record(
            evidence,
            {name: mean_over([m[name] for m in measured], "corpora")},
            kind="synthetic",
            n=len(measured),
            seeds=f"{CORPORA.start}:{CORPORA.stop}",
            varies="corpus",
            unit="share of the images",
            note=f"{CORPUS_SIZE:,} generated faces a corpus, 3 % of them shown again",
        )
    if celeba_dir is not None:
        _exempt_on_celeba(evidence, celeba_dir, published_or_none)

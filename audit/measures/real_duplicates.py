"""What the duplicate rule finds among real faces, by an independent look at full size (Topeza 2025, 1.2 and 3.3)."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from audit.measures.metadata import block_part
from audit.measures.record import record
from core.data.celeba import celeba_in_part, find_file, read_celeba, read_partition, require_file
from core.data.corpus import Corpus
from core.data.pictures import Fit, read_full
from core.dedup.confirmed import MOST, SecondLook, bands_above, look_at, parting
from core.dedup.pairs import Pairs, kept
from core.dedup.search import near_duplicates
from core.files import sha256_file
from core.machine import cores
from core.stats import Interval, clopper_pearson
from fixtures.experiments.clothes import Clothes
from fixtures.photographs.orl import CREDIT, fetch
from fixtures.published.files import Published
from reports.record import ClaimRecord

CONFIRMED = "share of the rule's pairs that are one photograph"
WEAKEST = "the same, of pairs in the lowest band of correlation"
PARTITION = "photographs shared across the official partition"
SUBSETS = "photographs shared across the published subsets"
Picture = Callable[[int], np.ndarray]  # number -> (3, h, w) 8-bit levels


@dataclass(frozen=True)
class Looked:
    """The pairs of the rule among images, what a second look says of those it saw, and whose faces they show."""

    pairs: Pairs
    look: SecondLook
    identities: np.ndarray | None


def looked_at(images: torch.Tensor, picture: Picture, identities: np.ndarray | None = None) -> Looked:
    """The rule on small images (n, c, h, w), and the second look at the full-size pictures of its pairs."""
    pairs = near_duplicates(images)
    index = np.arange(len(pairs.i))
    if len(index) > MOST:
        index = np.sort(np.random.default_rng(0).choice(len(index), MOST, replace=False))
    value = look_at(pairs, index, picture, picture, threads=cores())
    return Looked(pairs, SecondLook(index, value, parting(value)), identities)


def of_celeba(directory: Path) -> tuple[Corpus, Looked]:
    """All photographs of a directory in CelebA's layout, in the order of their names."""
    corpus, folder = read_celeba(directory), require_file(directory, "img_align_celeba")
    found = looked_at(corpus.images, lambda k: read_full(folder / corpus.names[k], Fit()), corpus.identities)
    return corpus, found


def of_orl(corpus: Corpus) -> Looked:
    """The ORL faces."""
    place = fetch()
    return looked_at(corpus.images, lambda k: read_full(place / corpus.names[k], Fit()), corpus.identities)


def judged_pairs(found: Looked) -> dict[str, np.ndarray]:
    """Which pairs that were looked at each judged share is of: all, and those of the lowest band that holds any."""
    strength = np.abs(found.pairs.correlation[found.look.index])
    seen = np.isfinite(found.look.value)
    bands = bands_above(found.pairs.threshold)
    low, high = next((x for x in bands if (seen & (strength > x[0]) & (strength <= x[1])).any()), bands[0])
    return {CONFIRMED: seen, WEAKEST: seen & (strength > low) & (strength <= high)}


def precision_measures(found: Looked) -> dict[str, Any]:
    """The shares that are judged, with exact binomial intervals."""
    return {name: _share(found, which) for name, which in judged_pairs(found).items()}


def _share(found: Looked, which: np.ndarray) -> tuple[float, Interval]:
    """Share of these pairs that are one photograph."""
    confirmed = found.look.confirms[which]
    return float(confirmed.mean()), clopper_pearson(int(confirmed.sum()), len(confirmed))


def record_precision(evidence: ClaimRecord, found: Looked, kind: str, note: str) -> None:
    """What is judged, and beside it every band: one photograph or not, one identity or not."""
    counts = found.look.counts(found.pairs)
    how = "read off these pairs" if counts["threshold_read_off_these_pairs"] else "that of 12,000 photographs of CelebA"
    note += (
        f"; second look: {counts['measure']}, from {counts['threshold']:.2f} on ({how}, "
        f"{counts['threshold_low']:.2f} to {counts['threshold_high']:.2f}, {counts['in_doubt']} pairs between)"
    )
    for name, which in judged_pairs(found).items():
        record(evidence, {name: _share(found, which)}, kind=kind, n=int(which.sum()), varies="pair", note=note)
    strength = np.abs(found.pairs.correlation[found.look.index])
    seen, confirms = np.isfinite(found.look.value), found.look.confirms
    same = None
    if found.identities is not None:
        same = (found.identities[found.pairs.i] == found.identities[found.pairs.j])[found.look.index]
    for low, high in bands_above(found.pairs.threshold):
        inside = seen & (strength > low) & (strength <= high)
        kinds = {"one photograph": confirms} | ({} if same is None else {"one identity": same})
        for name, which in kinds.items() if inside.any() else ():
            k, n = int((which & inside).sum()), int(inside.sum())
            told = f"correlation {low:g} to {high:g}: {name}"
            evidence.add(told, k / n, kind=kind, n=n, interval=clopper_pearson(k, n), varies="pair")
    if same is not None:
        evidence.add("one photograph under two identities", int((confirms & ~same).sum()), kind=kind, unit="pairs")


def by_class(pairs: Pairs, classes: np.ndarray) -> list[dict[str, Any]]:
    """How many pairs of the rule are of one class, by band of correlation, with exact binomial intervals.

    Images of another class show another thing, so that a pair of two classes is no near-duplicate; one of a class may
    be, or not.
    """
    strength, same = np.abs(pairs.correlation), classes[pairs.i] == classes[pairs.j]
    rows = []
    for low, high in bands_above(pairs.threshold):
        inside = (strength > low) & (strength <= high)
        k, n = int((same & inside).sum()), int(inside.sum())
        if n:
            interval = clopper_pearson(k, n)
            row = {"correlation above": low, "to": high, "pairs": n, "of one class": k / n}
            rows.append(row | {"from": interval.low, "up to": interval.high})
    return rows


def record_clothes(evidence: ClaimRecord, clothes: Clothes) -> None:
    """What the rule does to photographs of clothes, beside what is judged."""
    images = clothes.raw.images
    pairs = near_duplicates(images)
    stay = len(kept(pairs, len(images)).kept)
    note = f"{len(images):,} different photographs of clothes (MNIST's files) at {images.shape[-1]} pixels a side"
    about: dict[str, Any] = {"kind": "photographs", "n": len(images)}
    evidence.add("clothes: share that the rule removes", 1 - stay / len(images), note=note, **about)
    if clothes.classes is not None:
        rows = by_class(pairs, clothes.classes)
        evidence.add("clothes: pairs of the rule that are of one class", rows, note=f"{note}; Clopper-Pearson", **about)


def record_dedup_precision(
    evidence: ClaimRecord, orl: Corpus | None, celeba: Path | None, clothes: Clothes | None = None
) -> None:
    """The precision of the rule on the photographs at hand (T-dedup-precision)."""
    if orl is not None:
        note = (
            f"{CREDIT}: ten photographs a person, most of them a moment apart in one room; by eye one of the 53 pairs "
            "is the same photograph twice, and the others that pass differ in eyes or mouth"
        )
        record_precision(evidence, of_orl(orl), "photographs", note)
        if clothes is not None:
            record_clothes(evidence, clothes)
    if celeba is not None:
        corpus, found = of_celeba(celeba)
        part = celeba_in_part(celeba)
        note = f"{len(corpus):,} photographs" + (f" ({part})" if part else "")
        record_precision(evidence, found, "celeba", note)


def shared_across(found: Looked, side: np.ndarray) -> int:
    """How many confirmed pairs have their two pictures on two sides; `side` (n,) is -1 for those on none."""
    index = found.look.index[found.look.confirms]
    a, b = side[found.pairs.i[index]], side[found.pairs.j[index]]
    return int(((a != b) & (a >= 0) & (b >= 0)).sum())


def record_identity_near_duplicates(evidence: ClaimRecord, celeba: Path | None, published: Published | None) -> None:
    """One photograph on both sides of a partition by identity (T-identity-near-duplicates)."""
    if celeba is None:
        if published is not None:
            evidence.block(
                kind="published",
                needs="CelebA's images, beside what Topeza published",
                command="pytest audit/ --published DIR --celeba DIR",
            )
        return
    corpus, found = of_celeba(celeba)
    sides: dict[tuple[str, str], np.ndarray] = {}
    partition = find_file(celeba, "list_eval_partition.txt")
    if partition is None:
        evidence.block(kind="celeba", needs="list_eval_partition.txt", command="pytest audit/ --celeba DIR")
    else:
        evidence.input("CelebA: list_eval_partition.txt", sha256=sha256_file(partition))
        sides["celeba", PARTITION] = read_partition(partition).reindex(list(corpus.names)).fillna(-1).to_numpy(int)
    if published is not None:
        halves = {name: k for k, names in enumerate(published.identity_halves) for name in names}
        sides["published", SUBSETS] = np.array([halves.get(name, -1) for name in corpus.names])
    part = celeba_in_part(celeba)
    for (kind, name), side in sides.items():
        shared = shared_across(found, side)
        if part and not shared:
            block_part(evidence, kind, part)
            continue
        note = f"among {int((side >= 0).sum()):,} photographs" + (f" ({part}): at least so many" if part else "")
        evidence.add(name, shared, kind=kind, n=len(corpus), unit="pairs", note=note)
        record_identities_across(evidence, kind, corpus, side)


def record_identities_across(evidence: ClaimRecord, kind: str, corpus: Corpus, side: np.ndarray) -> None:
    """How many people stand on more than one side: none, if the sides are disjoint by identity."""
    if corpus.identities is not None:
        on = np.unique(np.stack([corpus.identities[side >= 0], side[side >= 0]]), axis=1)[0]
        across = int((np.unique(on, return_counts=True)[1] > 1).sum())
        evidence.add("identities on more than one side", across, kind=kind, unit="people")


def planted_pictures(copies: int, likes: int, side: int = 96) -> tuple[torch.Tensor, Picture]:
    """Pairs planted for controls, at 2k and 2k + 1: copies first, then pictures alike at small size only.

    A copy is lit anew by a ramp, which lowers its correlation at 20x20, brightened
    and encoded as JPEG at quality 60. A likeness has its partner's coarse pattern under fine detail of its own.

    Returns:
        the small images (n, 1, 24, 24) that the rule sees, and what reads the full-size ones (3, side, side).
    """
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, side)[None, :]
    pictures: list[np.ndarray] = []
    for k in range(copies + likes):
        coarse = np.kron(rng.integers(70, 186, (12, 12)), np.ones((side // 12, side // 12)))
        fine = [np.kron(rng.normal(0, 22, (side // 2, side // 2)), np.ones((2, 2))) for _ in range(2)]
        if k < copies:
            first = coarse + fine[0]
            pair = [first, first + ramp * rng.uniform(0, 8) + 12]
        else:
            pair = [coarse + each for each in fine]
        for levels in pair:
            stream = io.BytesIO()
            Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=60)
            pictures.append(np.asarray(Image.open(stream)))
    whole = np.stack(pictures)
    small = whole.reshape(len(whole), 24, side // 24, 24, side // 24).mean(axis=(2, 4)) / 255
    images = torch.from_numpy(small[:, None].astype(np.float32))
    return images, lambda k: np.repeat(whole[k][None], 3, axis=0)

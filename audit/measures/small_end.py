"""What the ORL faces show at the small end: halves with and without common people, nearest faces by every metric."""

from typing import Any

import numpy as np

from audit.measures.agreement import halves
from audit.measures.attribute_agreement import identity_measures, record_weaker
from audit.measures.networks import JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.perception import NETWORKS, distances_by_metric, embeddings, identity_rows
from audit.measures.rank_inversion import record_order
from audit.measures.record import SEED, Measures, over_trainings, record
from audit.measures.rules import CANDIDATES
from audit.measures.structure import outside
from core.dedup.pairs import kept
from core.dedup.search import near_duplicates
from core.metrics.lpips import Embedding
from core.metrics.retrieval import nearest_change, rank_agreement
from core.stats.crossed import crossed_difference
from core.training.cells import RANDOM, Cell
from fixtures.experiments.small_end import LONG, SmallEnd
from fixtures.photographs.orl import CREDIT, SIDE
from reports.record import ClaimRecord

NAMES = ("without a common person", "random halves")


def by_person(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """Means over the images of each person: (..., images) to (..., people), people by rising number."""
    label = np.unique(who, return_inverse=True)[1]
    weights = np.eye(label.max() + 1)[label]
    return np.asarray(values @ (weights / weights.sum(axis=0)))


def unknown_people(split: np.ndarray, overlap: np.ndarray) -> Measures:
    """PSNR on people that only the half without common people has not seen; as `identity_measures`, over people."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        difference = crossed_difference(
            split[:, row], overlap[:, row], names=NAMES, sides=("training seeds",), over="people"
        )
        name = f"PSNR difference at {level:g} dB, people new to the half without common people"
        found[name] = difference.estimate, difference.interval()
    return found


def record_people(evidence: ClaimRecord, pairs: SmallEnd, kind: str) -> None:
    """Halves without a common person against random ones (T-identity-convergence); intervals of PSNR over people.

    Test images are those that neither network of the comparison was trained on, which are the A of each protocol.
    """
    n = pairs.largest("identity")
    record_weaker(evidence, pairs, kind, "identity")
    free = outside(pairs, pairs.source("identity"), [(RANDOM, n), ("identity", n)], "A")
    assert free.identities is not None
    split, overlap = (
        np.stack(
            [
                cell_psnr(pairs, Cell(p, n, "A", k), free.images, JUDGED_SIGMAS, seed=SEED).output
                for k in pairs.trainings
            ]
        )
        for p in ("identity", RANDOM)
    )
    agreements = (halves(pairs, protocol, n) for protocol in ("identity", RANDOM))
    people = [by_person(each, free.identities) for each in (split, overlap)]
    found = identity_measures(people[0], people[1], *agreements, over="people")
    of_a = pairs.source("identity").by_names(pairs.names(Cell("identity", n, "A")))
    assert of_a.identities is not None
    new = ~np.isin(free.identities, of_a.identities)
    found |= unknown_people(*(by_person(each[..., new], free.identities[new]) for each in (split, overlap)))
    for name, item in found.items():
        about = over_trainings(pairs) | {"note": in_words(pairs)}
        if name.startswith("PSNR"):
            asked = free.identities[new] if "new to" in name else free.identities
            count, images = len(np.unique(asked)), len(asked)
            varies = f"{len(pairs.trainings)} training seeds a protocol, {count} people ({images} photographs)"
            about |= {"n": len(pairs.trainings) * count, "varies": varies, "unit": "dB"}
            about["counted"] = "people, each by every training"
        record(evidence, {name: item}, kind=kind, **about)


def in_words(pairs: SmallEnd) -> str:
    """What the networks were trained on, and how long."""
    train = pairs.preset.train
    said = (
        f"{CREDIT}: halves of {pairs.sizes[-1]} photographs, {train.epochs * train.exposures:,} shown to each network"
    )
    return said if pairs.preset.name == LONG else f"{said}; --scale {LONG} shows eleven times as many"


def inversion_rows(
    distances: dict[str, np.ndarray], who: np.ndarray, among: str = "all others", apart: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """One row a metric: of each photograph's ten nearest by correlation, whether another one comes first.

    Args:
        distances: (n, n) by metric, one of them `correlation`.
        who: (n,) whose face each is; intervals are over people.
        among: what the ten are chosen from, in words.
        apart: (n, n) bool, which photographs they are not chosen from; by default each from all but itself.
    """
    own = distances["correlation"].copy()
    own[np.eye(len(who), dtype=bool) if apart is None else apart] = np.inf
    index = np.argsort(own, axis=1, kind="stable")[:, :CANDIDATES]
    rows = []
    for name, distance in distances.items():
        if name == "correlation":
            continue
        first, second = (np.take_along_axis(each, index, axis=1) for each in (own, distance))
        change = nearest_change(first, second, clusters=who)
        order = rank_agreement(first, second, seed=SEED, clusters=who)
        rows.append(
            {
                "among": among,
                "metric": name,
                "share whose nearest changes": change.share,
                "from": change.interval.low,
                "to": change.interval.high,
                "by chance": change.chance,
                "Kendall's tau with correlation": order.mean_kendall,
                "tau from": order.kendall_interval.low,
                "tau to": order.kendall_interval.high,
            }
        )
    return rows


def record_faces(evidence: ClaimRecord, pairs: SmallEnd, kind: str, *, lpips: Embedding) -> None:
    """Nearest training faces of samples; nearest faces of photographs, and people found again (T-rank-inversion)."""
    record_order(evidence, pairs, kind, lpips)
    faces = pairs.read(SIDE)
    faces = faces.select(kept(near_duplicates(faces.images), len(faces)).kept)
    assert faces.identities is not None
    networks, missing = embeddings(dict.fromkeys(NETWORKS))
    distances = distances_by_metric(pairs.root, faces.images, networks)
    people = len(np.unique(faces.identities))
    about: dict[str, Any] = {"kind": kind, "n": len(faces), "counted": "photographs", "varies": "person"}
    said = [
        f"{CREDIT}: {len(faces)} photographs of {people} people at {faces.images.shape[-1]} pixels a side",
        *missing,
    ]
    who = faces.identities
    rows = inversion_rows(distances, who)
    rows += inversion_rows(distances, who, "other people", who[:, None] == who)
    note = "; ".join([*said, "each photograph's ten nearest by correlation; intervals clustered by person"])
    evidence.add("nearest photograph, by metric", rows, note=note, **about)
    retrieved, differences = identity_rows(distances, faces.identities)
    note = "; ".join([*said, "BCa bootstrap over people"])
    evidence.add("same person retrieved among photographs, by metric", retrieved, note=note, **about)
    record(evidence, {f"same person among photographs, {name}": item for name, item in differences.items()}, **about)

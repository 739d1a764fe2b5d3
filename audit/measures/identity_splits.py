"""People that two groups share, by kind of split (Topeza 2025, sections 5.1 and 5.3)."""

import json
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audit.measures.corpora import made_up_corpora
from audit.measures.record import cite
from audit.measures.splits import KEPT_IMAGES, SIZES
from core.splits.build import DEFINITIONS, by_identity
from fixtures.published.files import Published
from fixtures.published.notebooks import EXPERIMENTS, published_bytes
from reports.record import ClaimRecord


def identity_overlap(names: Sequence[str], identities: pd.Series, set_sizes: Iterable[int]) -> pd.DataFrame:
    """Shared identities, and the images they touch on either side, by definition and set size."""
    people = identities.loc[list(names)].to_numpy()
    rows = []
    for definition in DEFINITIONS:
        for n in set_sizes:
            a, b = people[:n], people[len(people) - n :] if definition == "ends" else people[n : 2 * n]
            rows.append((definition, n, len(np.intersect1d(a, b)), np.isin(a, b).sum(), np.isin(b, a).sum()))
    table = pd.DataFrame(rows, columns=["definition", "n", "identities", "images_of_a", "images_of_b"])
    return table.assign(share_of_a=table.images_of_a / table.n, share_of_b=table.images_of_b / table.n)


def least_shared(a: np.ndarray, b: np.ndarray, removed: int) -> int:
    """Identities that stay in both groups whichever `removed` images are taken out of them."""
    people, counts = zip(*(np.unique(side, return_counts=True) for side in (a, b)), strict=True)
    _, at_a, at_b = np.intersect1d(*people, return_indices=True)
    cheapest = np.sort(np.minimum(counts[0][at_a], counts[1][at_b]))
    return int((np.cumsum(cheapest) > removed).sum())


def identity_halves(a: Sequence[str], b: Sequence[str], identities: pd.Series) -> dict[str, int]:
    """Two groups that should have no person in common, and who is in neither."""
    people = [set(identities.loc[list(side)]) for side in (a, b)]
    return {
        "shared_identities": len(people[0] & people[1]),
        "shared_images": len(set(a) & set(b)),
        "repeated": len(a) + len(b) - len(set(a)) - len(set(b)),
        "identities_in_neither": len(set(identities) - people[0] - people[1]),
        "images_in_neither": len(set(identities.index) - set(a) - set(b)),
    }


def tensor_images(published: Published, experiment: str) -> int:
    """Images in the tensor that a published notebook loads, as it prints its shape."""
    cells = json.loads(published_bytes(published, f"notebooks/{EXPERIMENTS[experiment].notebook}"))["cells"]
    printed = re.findall(r"torch\.Size\(\[(\d+), 1, 40, 40\]\)", json.dumps(cells))
    assert len(set(printed)) == 1, printed
    return int(printed[0])


def record_identity_overlap(evidence: ClaimRecord, published: Published) -> None:
    """People in both random halves, by definition and set size (T-split-identity-overlap)."""
    cite(evidence, "train_filenames.txt", "links_identities-faces.txt")
    table = identity_overlap(published.train, published.identities, SIZES)
    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    for definition, rows in table.groupby("definition"):
        axes.plot(rows.n, rows.share_of_b, "o-" if definition == "ends" else "s--", label=definition)
    axes.set(xscale="log", ylim=(0, 1), xlabel="images a group", ylabel="images of B whose person is in A")
    axes.legend(frameon=False)
    path = evidence.figure("overlap", figure)
    for row in table.to_dict("records"):
        evidence.add(
            f"identities_{row['definition']}_{row['n']}",
            row["identities"],
            kind="published",
            n=row["n"],
            unit="identities",
            figures=[path],
            note=f"touching {row['images_of_a']:,} images of A ({row['share_of_a']:.1%}) and {row['images_of_b']:,} of "
            f"B ({row['share_of_b']:.1%})",
        )
    people = published.identities.loc[list(published.train)].to_numpy()
    removed = len(published.train) - KEPT_IMAGES
    evidence.add(
        "identities_at_least",
        least_shared(people[: SIZES[-1]], people[-SIZES[-1] :], removed),
        kind="published",
        unit="identities",
        note=f"The list precedes the removal of {removed:,} near-duplicates. Whichever they were, so many identities "
        "stay in both ends: taking images out only lets later ones in.",
    )


def record_identity_split(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    """Halves without a common person, as built and as published (T-identity-split)."""
    totals: dict[str, int] = {}
    built = list(made_up_corpora(2))
    for seed, (names, owners, _) in enumerate(built):
        groups = by_identity(names, owners, seed).groups
        for key, value in identity_halves(groups["A"], groups["B"], pd.Series(owners, index=names)).items():
            totals[key] = totals.get(key, 0) + value
    for key, value in totals.items():
        evidence.add(key, value, kind="property", n=len(built), counted="splits", varies="corpus, seed")
    if published_or_none is None:
        return
    published = published_or_none
    cite(evidence, "list_subset1.txt", "list_subset2.txt", "links_identities-faces.txt")
    a, b = published.identity_halves
    for key, value in identity_halves(a, b, published.identities).items():
        evidence.add(key, value, kind="published", n=len(a) + len(b))
    for name, side in (("A", a), ("B", b)):
        people = published.identities.loc[list(side)].nunique()
        evidence.add(f"images_{name}", len(side), kind="published", unit="images", note=f"of {people:,} identities")
    held_out = len(set(published.test) & {*a, *b})
    evidence.add("held_out_images_in_it", held_out, kind="published", n=len(published.test), unit="images")
    used = tensor_images(published, "no_overlap")
    removed = len(published.train) - tensor_images(published, "celeba")
    evidence.add(
        "images_trained_on",
        used,
        kind="published",
        unit="images",
        note=f"The tensor that the notebook loads: {used // 2:,} a group, {len(a) + len(b) - used:,} fewer than the "
        f"lists. The same procedure took {removed:,} near-duplicates out of the baseline's tensor, which holds all but "
        f"ten of these images; so, were that count the same in any order, {removed - (len(a) + len(b) - used):,} of "
        "them are still in it. That is what removal inside each half alone would leave: near-duplicates across "
        "the halves, the same photograph under two identities.",
    )

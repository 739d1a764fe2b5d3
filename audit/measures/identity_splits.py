"""People that two groups share, by kind of split (Topeza 2025, sections 5.1 and 5.3)."""

import json
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from core.splits.build import DEFINITIONS
from fixtures.published.files import Published
from fixtures.published.notebooks import EXPERIMENTS, published_bytes


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

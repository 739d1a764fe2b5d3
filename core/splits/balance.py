"""Which identities go to which of two groups: nearly equally many images in each, and the seed decides.

No random stream is used: what looks random is a bit or an order of SHA-256 hashes of the seed and the identity.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GREEDY = (
    "identities in decreasing order of image count (equal counts in hash order), each to the group with fewer images"
)
DRAWN = (
    "identities in hash order, each to the group that a bit of its hash names while those to come can make up for it, "
    "else to the group with fewer images; the first of 64 such draws (the last 32 in decreasing order of image count) "
    "whose groups differ by at most one image in a hundred or by what the greedy order leaves; where there is none, "
    "the greedy order"
)
SEEDS = 10  # over which distinct partitions are counted
ENOUGH = 5  # distinct partitions among them: fewer, and the greedy order leaves the seed too little to decide
DRAWS = 64
TOLERANCE = 0.01  # of the images, by which groups that were drawn may differ


@dataclass(frozen=True)
class Balance:
    """Two groups of identities.

    Attributes:
        side: (identities,) int8, 0 or 1: the group of each.
        method: how it was found, `GREEDY` or `DRAWN`.
        distinct: how many partitions the seeds 0 to 9 give; which group is called A does not count.
    """

    side: np.ndarray
    method: str
    distinct: int


def balance(people: Sequence[int | float], counts: np.ndarray, seed: int) -> Balance:
    """Divide `people`, who have `counts` (identities,) images each, into two groups.

    The greedy order is Graham's (1969) longest-processing-time rule. Where identities differ in size it has few ties
    or none, and ten seeds then give one or two partitions: there the sides are drawn, by bits of hashes.
    """
    tried = {s: _greedy(people, counts, s) for s in {*range(SEEDS), int(seed)}}
    if (distinct := _distinct(tried)) >= ENOUGH:
        return Balance(tried[int(seed)], GREEDY, distinct)
    most = {s: max(TOLERANCE * int(counts.sum()), _difference(side, counts)) for s, side in tried.items()}
    drawn = {s: _drawn(people, counts, s, most[s]) for s in tried}
    found = {s: tried[s] if side is None else side for s, side in drawn.items()}
    return Balance(found[int(seed)], DRAWN, _distinct(found))


def _greedy(people: Sequence[int | float], counts: np.ndarray, seed: int) -> np.ndarray:
    keys = _hashes(people, f"{seed}\0identity")
    side, totals = np.zeros(len(people), dtype=np.int8), [0, 0]
    for i in _largest_first(counts, keys):
        lighter = int(keys[i][0] & 1) if totals[0] == totals[1] else int(totals[1] < totals[0])
        side[i] = lighter
        totals[lighter] += int(counts[i])
    return side


def _drawn(people: Sequence[int | float], counts: np.ndarray, seed: int, most: float) -> np.ndarray | None:
    """The first draw whose groups differ by at most `most` images and are not empty, or None."""
    for draw in range(DRAWS):
        keys = _hashes(people, f"{seed}\0identity\0draw {draw}")
        side, totals, left = np.zeros(len(people), dtype=np.int8), [0, 0], int(counts.sum())
        hashed = sorted(range(len(people)), key=lambda i: keys[i][1:])  # the first byte is the coin
        for i in hashed if draw < DRAWS // 2 else _largest_first(counts, keys):
            left -= int(counts[i])
            chosen = int(keys[i][0] & 1)
            if totals[chosen] + int(counts[i]) - totals[1 - chosen] > left:
                chosen = int(totals[1] < totals[0])
            side[i] = chosen
            totals[chosen] += int(counts[i])
        if min(totals) > 0 and abs(totals[0] - totals[1]) <= most:
            return side
    return None


def _hashes(people: Sequence[int | float], prefix: str) -> list[bytes]:
    return [hashlib.sha256(f"{prefix}\0{person}".encode()).digest() for person in people]


def _largest_first(counts: np.ndarray, keys: Sequence[bytes]) -> list[int]:
    return sorted(range(len(counts)), key=lambda i: (-counts[i], keys[i]))


def _difference(side: np.ndarray, counts: np.ndarray) -> int:
    return abs(int(counts[side == 0].sum()) - int(counts[side == 1].sum()))


def _distinct(sides: dict[int, np.ndarray]) -> int:
    """Partitions among those of the seeds 0 to 9, whichever group is called A."""
    return len({(sides[s] ^ sides[s][0]).tobytes() for s in range(SEEDS)})

"""What the rule's pairs show among images of known classes."""

import numpy as np

from audit.measures.real_duplicates import by_class
from core.dedup.pairs import Pairs


def test_pairs_of_two_classes_are_counted_by_band() -> None:
    """Planted: of 40 pairs between 0.95 and 0.96 a quarter is of one class, of 20 above 0.99 all are."""
    classes = np.arange(120) % 2
    i = np.arange(60)
    j = np.where((i < 40) & (i % 4 > 0), 60 + (i + 1) % 2, 60 + i % 2)
    correlation = np.where(i < 40, 0.955, 0.995)
    low, high = by_class(Pairs(i, j, correlation, 0.95), classes)
    assert (low["pairs"], low["of one class"]) == (40, 0.25) and low["from"] < 0.25 < low["up to"] < 0.5
    assert (high["pairs"], high["of one class"], high["up to"]) == (20, 1.0, 1.0)

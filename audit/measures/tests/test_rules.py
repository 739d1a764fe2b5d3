"""Numbers of the decision rules that `core` knows as its defaults are those of the ledger."""

import pytest

from audit.measures.rules import RULES
from core.metrics import agreement, replication, retrieval
from core.theory import critical_size


@pytest.mark.parametrize(
    ("rule", "number", "known"),
    [
        ("copies", "copy_correlation", replication.COPY_CORRELATION),
        ("copies_left_out", "copy_correlation", retrieval.MEMORISED),
        ("varies", "strong_above", agreement.STRONG),
        ("nearly_same", "agreement_above", agreement.STRONG),
        ("varies", "mismatched_percentile", 100 * agreement.WEAK_QUANTILE),
        ("nearly_same", "nearest_train_margin", critical_size.MARGIN),
    ],
)
def test_core_knows_the_ledgers_numbers(rule: str, number: str, known: float) -> None:
    assert RULES[rule][number] == known


def test_numbers_of_a_rule_stand_in_its_words() -> None:
    for name in ("copies", "copies_left_out", "varies", "indistinguishable"):
        rule = RULES[name]
        first = next(value for value in rule.values() if isinstance(value, float))
        assert f"{first:g}" in rule["rule"], name

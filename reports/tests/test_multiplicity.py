"""Holm over the ledger against hand-made families, and against verdicts of pure noise."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import stats

from core.stats import Interval, bootstrap_mean, clopper_pearson, tost
from reports.judge import Evidence, Judgement, judge_claim
from reports.ledger import Check, Claim
from reports.multiplicity import boundary_pvalue, check_pvalue, holm_over, verdict_pvalue

CLAIM = Claim("T-a", "t", "data", "T 1", "s", ("synthetic",), "r", "rules.grows", date(2026, 11, 23))


def row(*checks: Check, name: str = "T-a") -> Claim:
    return replace(CLAIM, id=name, checks=checks)


def item(name: str, value: float, interval: Interval | None = None, **more: object) -> Evidence:
    pair = None if interval is None else (interval.low, interval.high)
    method, level = (None, None) if interval is None else (interval.method, interval.level)
    return Evidence("synthetic", name, value, interval=pair, interval_method=method, level=level, **more)  # type: ignore[arg-type]


def of_mean(name: str, x: np.ndarray) -> Evidence:
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return item(name, float(x.mean()), Interval(x.mean() - half, x.mean() + half, "t"), n=len(x))


ABOVE = Check("x", "above", value=0.0)


def test_an_interval_of_a_mean_gives_the_p_value_of_the_t_test() -> None:
    x = np.random.default_rng(0).normal(0.5, 1, 20)
    assert boundary_pvalue(of_mean("x", x), 0.0) == pytest.approx(stats.ttest_1samp(x, 0.0).pvalue)


def test_a_binomial_interval_gives_the_exact_p_value_and_other_methods_do_not() -> None:
    found = clopper_pearson(12, 12)
    exact = item("x", 1.0, found, n=12)
    assert boundary_pvalue(exact, 0.8) == pytest.approx(2 * 0.8**12)
    assert boundary_pvalue(replace(exact, n=24), 0.8) != pytest.approx(2 * 0.8**24), "n is not that of the interval"


def test_the_p_value_decides_as_the_interval_does() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        x = rng.normal(rng.normal(0, 0.5), 1, 16)
        e = of_mean("x", x)
        assert e.interval is not None
        assert (boundary_pvalue(e, 0.0) < 0.05) == (not e.interval[0] <= 0 <= e.interval[1])
        k = int(rng.integers(0, 41))
        c = clopper_pearson(k, 40)
        assert (boundary_pvalue(item("x", k / 40, c, n=40), 0.5) < 0.05) == (not c.contains(0.5))


def test_two_one_sided_tests_are_judged_by_their_own_p_value() -> None:
    test = tost(np.random.default_rng(0).normal(0.1, 0.3, 64), margin=0.25)
    check = Check("x", "within", low=-0.25, high=0.25)
    by_interval = item("x", test.difference, test.interval, n=64)
    assert check_pvalue(check, by_interval, "holds") == pytest.approx(test.pvalue, rel=1e-6)
    assert check_pvalue(check, replace(by_interval, pvalue=0.011), "holds") == 0.011


def test_what_holds_for_sure_is_not_a_test() -> None:
    certain = item("x", 1.0, Interval(0.5, 1.5, "error of reading", level=1.0))
    exact, constant = item("x", 1.0), item("x", 1.0, Interval(1.0, 1.0, "no variation"))
    assert [check_pvalue(ABOVE, e, "holds") for e in (certain, exact, constant)] == [None] * 3
    assert verdict_pvalue(row(ABOVE), "synthetic", "reproduced", [certain]) is None


def test_all_checks_must_hold_and_one_that_fails_suffices() -> None:
    rng = np.random.default_rng(2)
    strong, faint, off = (
        of_mean("x", rng.normal(3, 1, 20)),
        of_mean("y", rng.normal(1, 1, 20)),
        of_mean("z", -rng.random(20)),
    )
    claim = row(ABOVE, Check("y", "above", value=0.0))
    held = verdict_pvalue(claim, "synthetic", "reproduced", [strong, faint])
    assert held == (boundary_pvalue(faint, 0.0), "y")
    claim = row(ABOVE, Check("y", "above", value=0.0), Check("z", "above", value=0.0))
    failed = verdict_pvalue(claim, "synthetic", "refuted", [strong, faint, off])
    assert failed == (3 * boundary_pvalue(off, 0.0), "z")
    exact = row(ABOVE, Check("w", "equals", value=0))
    assert verdict_pvalue(exact, "synthetic", "refuted", [strong, item("w", 1)]) is None


def judged(claim: Claim, *evidence: Evidence) -> tuple[Claim, list[Evidence], Judgement]:
    return claim, list(evidence), judge_claim(claim, evidence)


def test_holm_by_hand() -> None:
    half = stats.norm.ppf(0.975)

    def at(p: float, name: str) -> tuple[Claim, list[Evidence], Judgement]:
        z = float(stats.norm.isf(p / 2))
        return judged(row(ABOVE, name=name), item("x", z, Interval(z - half, z + half, "normal")))

    found = holm_over([at(0.03, "T-c"), at(0.001, "T-a"), at(0.02, "T-b"), at(0.6, "T-d")])
    assert [r["claim"] for r in found["rows"]] == ["T-a", "T-b", "T-c", "T-d"]
    assert [r["adjusted"] for r in found["rows"]] == pytest.approx([0.004, 0.06, 0.06, 0.6])
    assert [r["verdict"] for r in found["rows"]] == ["reproduced"] * 3 + ["inconclusive"]
    assert [r["survives"] for r in found["rows"]] == [True, False, False, False]
    assert (found["family"], found["survive"]) == (4, 1)


def test_an_empty_run_has_no_family() -> None:
    assert holm_over([(CLAIM, [], None)])["rows"] == []


def test_pure_noise_yields_verdicts_but_hardly_any_survivor() -> None:
    """Sixty claims about nothing: about three are decided by chance; under Holm one in twenty such ledgers has any."""
    rng = np.random.default_rng(3)
    decided, ledgers = 0, 0
    for _ in range(60):
        records = [judged(row(ABOVE, name=f"T-{k}"), of_mean("x", rng.normal(size=20))) for k in range(60)]
        found = holm_over(records)
        decided += sum(r["verdict"] != "inconclusive" for r in found["rows"])
        ledgers += found["survive"] > 0
    assert 120 < decided < 240  # 180 expected, its deviation 13
    assert ledgers <= 9  # 3 expected; 10 or more in fewer than one of a thousand


def test_a_real_effect_survives() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(1, 0.5, 64)
    effect = judged(row(ABOVE, name="T-e"), item("x", float(x.mean()), bootstrap_mean(x, seed=0), n=64))
    noise = [judged(row(ABOVE, name=f"T-{k}"), of_mean("x", rng.normal(size=20))) for k in range(60)]
    found = holm_over([*noise, effect])
    assert found["rows"][0]["claim"] == "T-e"
    assert found["rows"][0]["survives"]

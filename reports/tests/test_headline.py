"""The first sentence follows from the evidence: every way that the two checks of its claim can end."""

from typing import Any

import pytest

from reports.bearing import BEFORE, BEYOND, CENTRAL, DETAIL, STRIP
from reports.headline import headline

RULES = {"independent": {"gap_within": 0.03, "gap_above": 0.05, "word": "independent", "rule": "", "fixed": ""}}


def audit(
    gap: tuple[float, float],
    before: tuple[float, float],
    kind: str = "synthetic",
    verdict: str = "reproduced",
    **more: Any,
) -> dict[str, Any]:
    values: dict[str, tuple[Any, Any]] = {
        "ceiling minus agreement, largest N": (sum(gap) / 2, gap),
        "ceiling minus agreement, smallest N without copies": (sum(before) / 2, before),
        "largest N": (4096, None),
        "smallest N without copies": (32, None),
        "agreement at the largest N": (0.94, (0.93, 0.95)),
        "ceiling at the largest N": (0.95, None),
        "agreement at the smallest N without copies": (0.5, (0.4, 0.6)),
        "ceiling at the smallest N without copies": (0.8, None),
    }
    evidence = [
        {"name": name, "kind": kind, "value": value, "interval": interval, "figures": ["figures/agreement.png"]}
        for name, (value, interval) in values.items()
    ]
    claim = {
        "id": CENTRAL, "title": "It no longer matters", "evidence": evidence, "blocked": [], "kinds": [kind, "clothes"],
        "verdict": verdict, "verdicts": {kind: verdict}, **more,
    }  # fmt: skip
    return {"claims": [claim], "rules": RULES, "scale": "desk"}


@pytest.mark.parametrize(
    ("gap", "before", "said"),
    [
        ((-0.01, 0.02), (0.2, 0.3), "agree as much (0.94) as two trained on the same ones (0.95), from the same noise "
         "by a sampler that adds none of its own; at N = 32 they do not (0.50 against 0.80)."),
        ((0.04, 0.09), (0.2, 0.3), "agree less (0.94) than two trained on the same ones (0.95), from the same noise "
         "by a sampler that adds none of its own; at N = 32 (0.50 against 0.80)."),
        ((0.0, 0.09), (0.2, 0.3), "too uncertain to call as much, from the same noise"),
        ((-0.01, 0.02), (-0.01, 0.02), "at N = 32, where fewer than half of the samples are copies, they do so already "
         "(0.50 against 0.80)."),
        ((-0.01, 0.02), (0.0, 0.2), "at N = 32 that cannot be told (0.50 against 0.80)."),
    ],
)  # fmt: skip
def test_each_outcome_has_its_words(gap: tuple[float, float], before: tuple[float, float], said: str) -> None:
    found = headline(audit(gap, before))
    assert found is not None and found.figure == "figures/agreement.png"
    (sentence,) = found.sentences
    assert sentence.startswith(
        "The central claim holds on generated faces at the desk scale: two networks trained on 4,096 disjoint images "
    )
    assert said in sentence


def test_what_was_not_measured_is_not_answered() -> None:
    block = {"kind": "synthetic", "needs": "models", "command": "pytest audit/ --scale desk"}
    found = headline(audit((0, 0), (0, 0)) | {"claims": [{"id": CENTRAL, "evidence": [], "blocked": [block]}]})
    assert found is not None and "did not measure" in found.sentences[0] and block["command"] in found.sentences[0]
    assert headline({"claims": [], "scale": "desk"}) is None
    assert headline({"claims": [{"id": CENTRAL, "evidence": [], "blocked": []}], "scale": "desk"}) is None


def test_the_best_evidence_comes_first() -> None:
    photographs, faces = audit((0, 0.01), (0.2, 0.3), kind="celeba"), audit((0, 0.01), (0.2, 0.3))
    photographs["claims"][0]["evidence"] += faces["claims"][0]["evidence"]
    photographs["claims"][0]["verdicts"] |= faces["claims"][0]["verdicts"]
    found = headline(photographs)
    assert found is not None and found.sentences[0].startswith("The central claim holds on photographs of CelebA at")
    assert found is not None and found.sentences[1] == (
        "On generated faces it is the same (0.94 against 0.95; at N = 32, 0.50 against 0.80)."
    )
    told = dict(found.lines)["How sure"]
    assert told.count("counts as no difference") == 1 and "On generated faces by 0.0050 (95 % interval" in told
    other = audit((0.04, 0.09), (0.2, 0.3), verdict="refuted")["claims"][0]
    photographs["claims"][0]["evidence"][len(photographs["claims"][0]["evidence"]) // 2 :] = other["evidence"]
    photographs["claims"][0]["verdicts"] |= other["verdicts"]
    found = headline(photographs)
    assert found is not None and found.sentences[1].startswith("The central claim does not hold on generated faces")


def test_the_strip_is_that_of_the_evidence_whose_figure_is_shown() -> None:
    data = audit((0, 0.01), (0.2, 0.3))
    assert (found := headline(data)) is not None and found.strip is None
    shown = {"name": STRIP, "kind": "synthetic", "value": [], "interval": None, "figures": ["figures/strip.svg"]}
    data["claims"][0]["evidence"].append(shown)
    assert (found := headline(data)) is not None and found.strip == "figures/strip.svg"


@pytest.mark.parametrize(("verdict", "said"), [("refuted", "does not hold on"), ("inconclusive", "is not decided on")])
def test_the_verdict_opens_the_sentence(verdict: str, said: str) -> None:
    found = headline(audit((0.04, 0.09), (0.2, 0.3), verdict=verdict))
    assert found is not None and found.sentences[0].startswith(f"The central claim {said} generated faces")


def lines(data: dict[str, Any]) -> dict[str, str]:
    found = headline(data)
    assert found is not None
    return dict(found.lines)


def test_how_sure_it_is_follows_from_the_intervals() -> None:
    told = lines(audit((-0.01, 0.02), (0.2, 0.3)))["How sure"]
    assert told.startswith("At N = 4,096 the two differ by 0.005 (95 % interval [−0.010, 0.020]), inside the ±0.03")
    few = "at N = 32, the smallest at which fewer than half of the samples are copies, by"
    assert f"{few} 0.250 (95 % interval [0.200, 0.300]), above the 0.05 that counts as one." in told
    alone = audit((-0.01, 0.02), (0.2, 0.3))
    next(e for e in alone["claims"][0]["evidence"] if e["name"] == BEFORE)["value"] = 4096  # at no N so few are copies
    assert "fewer than half" not in lines(alone)["How sure"]
    told = lines(audit((0.0, 0.09), (0.0, 0.2)))["How sure"]
    assert "not inside the ±0.03" in told and "not above the 0.05" in told
    row = {"claim": CENTRAL, "kind": "synthetic", "verdict": "reproduced", "survives": False}
    told = lines(audit((-0.01, 0.02), (0.2, 0.3)) | {"multiplicity": {"family": 51, "rows": [row]}})["How sure"]
    assert "It does not stand when all 51 verdicts that rest on an interval have to be right at once." in told


def test_size_is_said_of_networks_that_the_run_trained() -> None:
    preset = {"train": {"image_size": 20, "exposures": 2000, "epochs": 10}, "parameters": 114496, "full": False}
    trained, brought = (audit((0, 0.01), (0.2, 0.3), kind) | {"preset": preset} for kind in ("synthetic", "full"))
    for data, told in ((trained, True), (brought, False)):
        assert (found := headline(data)) is not None
        assert ("(20x20 pixels, networks of 114,496 parameters shown 20,000 images)" in found.sentences[0]) == told


@pytest.mark.parametrize(
    ("floor", "verdict", "said"),
    [
        (0.99, "reproduced", ("agree by 0.99", "no less than the networks", "Networks do share more", "0.475 (95 %")),
        (
            0.60,
            "inconclusive",
            (
                "agree by 0.60",
                ", less than the networks",
                "Whether networks share more is not",
                "the ceiling's lead is 0.040 (95 % interval [0, 0.080]), expected inside [−0.05, 0.05]",
            ),
        ),
        (0.99, "refuted", ("That networks share more is refuted",)),
    ],
)
def test_what_a_gaussian_explains_is_said(floor: float, verdict: str, said: tuple[str, ...]) -> None:
    rows = [
        {"N": n, "measure": "floor, Wiener of A with Wiener of B", "sampler": sampler, "value": value}
        for n, sampler, value in ((4096, "heun", floor), (4, "heun", 0.1), (4096, "published", 0.2))
    ]
    evidence = [
        {"name": "agreement, ceiling and floor by N", "kind": "synthetic", "value": rows, "interval": None},
        {"name": "agreement of residuals above mismatched seeds", "kind": "synthetic", "value": 0.475,
         "interval": (0.45, 0.5)},
        {"name": "ceiling minus agreement of residuals", "kind": "synthetic", "value": 0.04, "interval": (0.0, 0.08)},
    ]  # fmt: skip
    beside = {
        "id": BEYOND,
        "title": "More",
        "evidence": evidence,
        "verdict": verdict,
        "verdicts": {"synthetic": verdict},
    }
    judged = {"kind": "synthetic", "evidence": "ceiling minus agreement of residuals", "shown": "the ceiling's lead"}
    outcome = {"reproduced": "holds", "refuted": "fails", "inconclusive": "open"}[verdict]
    beside["checks"] = [{**judged, "outcome": outcome, "expected": "inside [-0.05, 0.05]"}]
    data = audit((0, 0.01), (0.2, 0.3))
    assert "More than a Gaussian" not in lines(data)
    told = lines(data | {"claims": [*data["claims"], beside]})["More than a Gaussian"]
    assert all(text in told for text in said)


def test_the_published_sampler_stands_beside_the_one_that_judges() -> None:
    data = audit((0, 0.01), (0.2, 0.3))
    assert "published sampler" not in lines(data)["How sure"]
    name = "ceiling minus agreement, N = 4096, published sampler"
    data["claims"][0]["evidence"].append(
        {"name": name, "kind": "synthetic", "value": -0.012, "interval": (-0.06, 0.04)}
    )
    told = lines(data)["How sure"]
    assert "By the published sampler, which adds noise of its own, the first is −0.012 (95 % interval [−0.06" in told


def test_what_is_unknown_is_said() -> None:
    data = audit((0, 0.01), (0.2, 0.3), kinds=["synthetic", "clothes", "celeba", "full"])
    opened = [("K-critical-depends", "inconclusive"), ("T-a", "inconclusive"), ("T-b", "blocked"), ("T-c", "refuted")]
    data["claims"] += [{"id": i, "title": f"Title of {i}", "verdict": v, "evidence": []} for i, v in opened]
    told = lines(data)["Still unknown"]
    assert told == (
        "Whether it holds on photographs of CelebA and on networks of the published size, which this run did not "
        "measure; “Title of K-critical-depends” is inconclusive. Of the other claims 1 is "
        "inconclusive and 1 is blocked."
    )
    assert lines(audit((0, 0.01), (0.2, 0.3)))["Still unknown"] == "Nothing that the ledger asks of the central claim."


def test_that_longer_training_was_not_judged_stands_on_the_first_screen() -> None:
    preset = {"train": {"image_size": 20, "exposures": 2000, "epochs": 10}, "parameters": 114496, "full": False}
    for kind, told in (("synthetic", True), ("full", False)):  # the latter's networks come from elsewhere
        found = lines(audit((0, 0.01), (0.2, 0.3), kind) | {"preset": preset})["Still unknown"]
        assert ("Whether it lasts in longer training than 20,000 images shown: they may not have" in found) == told


@pytest.mark.parametrize(
    ("interval", "look"), [((0.2, 0.4), "smoother"), ((0.8, 1.2), "about as fine"), ((1.2, 1.5), "rougher")]
)
def test_how_fine_samples_are_is_said_where_it_was_measured(interval: tuple[float, float], look: str) -> None:
    data = audit((0, 0.01), (0.2, 0.3))
    assert (found := headline(data)) is not None and found.look is None
    measured = {"name": DETAIL, "kind": "synthetic", "value": sum(interval) / 2, "interval": interval, "figures": []}
    data["claims"][0]["evidence"].append(measured)
    assert (found := headline(data)) is not None and found.look is not None and look in found.look

"""The first sentence follows from the evidence: every way that the two checks of its claim can end."""

from typing import Any

import pytest

from reports.headline import CLAIM, STRIP, headline

RULES = {"independent": {"gap_within": 0.03, "gap_above": 0.05, "word": "independent", "rule": "", "fixed": ""}}


def audit(
    gap: tuple[float, float], before: tuple[float, float], kind: str = "synthetic", **more: Any
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
    claim = {"id": CLAIM, "evidence": evidence, "blocked": [], **more}
    return {"claims": [claim], "rules": RULES, "scale": "desk"}


@pytest.mark.parametrize(
    ("gap", "before", "said"),
    [
        ((-0.01, 0.02), (0.2, 0.3), "agree as much (0.94) as two trained on the same ones (0.95), from the same noise; "
         "at N = 32 they do not (0.50 against 0.80)."),
        ((0.04, 0.09), (0.2, 0.3), "agree less (0.94) than two trained on the same ones (0.95), from the same noise; "
         "at N = 32 (0.50 against 0.80)."),
        ((0.0, 0.09), (0.2, 0.3), "which is too uncertain to call as much, from the same noise"),
        ((-0.01, 0.02), (-0.01, 0.02), "at N = 32, where copies have ended, they do so already (0.50 against 0.80)."),
        ((-0.01, 0.02), (0.0, 0.2), "at N = 32 that cannot be told (0.50 against 0.80)."),
    ],
)  # fmt: skip
def test_each_outcome_has_its_words(gap: tuple[float, float], before: tuple[float, float], said: str) -> None:
    found = headline(audit(gap, before))
    assert found is not None and found.figure == "figures/agreement.png"
    (sentence,) = found.sentences
    assert sentence.startswith(
        "On generated faces at the desk scale two networks trained on 4,096 disjoint images each"
    )
    assert said in sentence


def test_what_was_not_measured_is_not_answered() -> None:
    block = {"kind": "synthetic", "needs": "models", "command": "pytest audit/ --scale desk"}
    found = headline(audit((0, 0), (0, 0)) | {"claims": [{"id": CLAIM, "evidence": [], "blocked": [block]}]})
    assert found is not None and "did not measure" in found.sentences[0] and block["command"] in found.sentences[0]
    assert headline({"claims": [], "scale": "desk"}) is None
    assert headline({"claims": [{"id": CLAIM, "evidence": [], "blocked": []}], "scale": "desk"}) is None


def test_the_best_evidence_comes_first() -> None:
    photographs, faces = audit((0, 0.01), (0.2, 0.3), kind="celeba"), audit((0, 0.01), (0.2, 0.3))
    photographs["claims"][0]["evidence"] += faces["claims"][0]["evidence"]
    found = headline(photographs)
    assert found is not None and [s.split(" at the ")[0] for s in found.sentences] == [
        "On photographs of CelebA",
        "On generated faces",
    ]


def test_the_strip_is_that_of_the_evidence_whose_figure_is_shown() -> None:
    data = audit((0, 0.01), (0.2, 0.3))
    assert (found := headline(data)) is not None and found.strip is None
    shown = {"name": STRIP, "kind": "synthetic", "value": [], "interval": None, "figures": ["figures/strip.svg"]}
    data["claims"][0]["evidence"].append(shown)
    assert (found := headline(data)) is not None and found.strip == "figures/strip.svg"

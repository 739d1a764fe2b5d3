"""What a run says last: the answer, a table by document, changes, and the commands that bring what is missing."""

from typing import Any

from reports.terminal import ending
from reports.tests.test_headline import RULES
from reports.tests.test_headline import audit as answered
from reports.tests.test_render import audit, claim


def told(data: dict[str, Any]) -> list[str]:
    return list(ending(data))


def needs(command: str, thing: str = "its images") -> dict[str, str]:
    return {"kind": "celeba", "needs": thing, "command": command}


def test_verdicts_stand_by_document_and_in_all() -> None:
    sources = {"T": {"authors": "S. T.", "year": 2025, "title": "x"}, "K": {"authors": "Z. K., F. G.", "year": 2024}}
    claims = [claim("T-a", verdict="reproduced"), claim("T-b", verdict="refuted"), claim("K-a", verdict="reproduced")]
    lines = told(audit(*claims, claim("X-a", verdict="reproduced"), sources=sources))
    table = [line.split() for line in lines[: lines.index("")]]
    assert table == [
        ["claims", "reproduced", "refuted"],
        ["T", "S.", "T.", "(2025)", "1", "1"],
        ["K", "Z.", "K.", "et", "al.", "(2024)", "1"],
        ["X", "1"],
        ["in", "all", "3", "1"],
    ]
    ends = {line.index("1") for line in lines[1:4]}
    assert ends == {lines[0].index("reproduced") + len("reproduced") - 1}  # figures stand under their verdict


def test_nothing_changed_is_said_and_so_is_each_change() -> None:
    assert "changed: nothing since the verdicts were last understood" in told(audit(claim()))
    lines = told(
        audit(
            claim("T-1", verdict="refuted", changed=True, recorded="reproduced"),
            claim("T-2", outside=["synthetic: x = 3, recorded between 1 and 2"]),
            claim("T-3", error="RuntimeError: it\nbroke"),
        )
    )
    assert [line for line in lines if line.startswith("changed")] == [
        "changed: T-1: now refuted, the ledger records reproduced",
        "changed: T-2: synthetic: x = 3, recorded between 1 and 2",
        r"changed: T-3: ended in an error: RuntimeError: it\nbroke",
    ]


def test_what_is_missing_is_grouped_by_its_command() -> None:
    claims = [claim(f"T-{k}", verdict="blocked", blocked=[needs("bring images")]) for k in range(5)]
    claims += [claim("T-m", verdict="reproduced", blocked=[needs("bring images"), needs("bring lists", "its lists")])]
    lines = told(audit(*claims))
    at = lines.index("missing: its images: 5 claims blocked (T-0, T-1, T-2 and 2 more), more evidence for 1")
    assert lines[at + 1 : at + 4] == ["  bring images", "missing: its lists: more evidence for 1", "  bring lists"]


def test_the_answer_of_the_page_stands_first() -> None:
    found = answered((-0.01, 0.02), (0.2, 0.3))["claims"][0]
    answers = claim(found["id"], evidence=found["evidence"], verdicts=found["verdicts"])
    lines = told(audit(answers, rules=RULES))
    assert lines[0].startswith("The central claim holds on ") and "agree" in lines[0] and lines[1] == ""

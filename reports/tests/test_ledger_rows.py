"""The rows of the ledger: every claim of the documents is there, and each row is complete."""

import ast
import re
import tomllib
from datetime import date
from functools import cache
from pathlib import Path

import pytest

LEDGER = tomllib.loads((Path(__file__).parents[2] / "audit" / "claims.toml").read_text(encoding="utf-8"))
ROWS = LEDGER["claim"]
TOPICS = {
    "data": "T-counts T-holdout T-attribute-repair T-preprocess T-order",
    "duplicates": "T-dedup-equivalence T-dedup-dense-memory T-dedup-block-memory T-block-memory-order T-dedup-count "
    "T-dedup-attribute-exempt T-dedup-precision T-identity-near-duplicates",
    "splits": "T-split-sizes T-split-definition T-split-disjoint T-split-identity-overlap T-eyeglasses-split "
    "T-male-split T-attribute-identity-overlap T-identity-split",
    "model": "T-unet-parameters T-unet-description T-unet-bias-free T-miyasawa T-noise-uniform T-optimiser "
    "T-exposure T-convergence-guaranteed T-monitoring",
    "behaviour": "T-psnr-gap T-convergence T-eyeglasses-convergence T-attribute-respected T-coarse-aligned "
    "T-male-convergence T-identity-convergence T-convergence-order T-figure-provenance T-size-confound "
    "T-same-start T-test-set T-rank-inversion T-lpips-protocol T-lpips-exhaustive T-lpips-infeasible "
    "T-other-attributes T-correlation-brightness T-vgg-stable T-originality T-small-n-pull",
    "theory": "K-tweedie K-empirical-optimum K-slide-weights K-kl-bound K-strong-generalization K-same-data "
    "K-beyond-gaussian K-geometric-optimal K-shuffled-suboptimal K-low-dimensional-suboptimal "
    "K-harmonic-bases K-not-minimised K-critical-depends K-figure-1",
    "dynamics": "V-setup V-gap V-levels V-figure V-order V-criterion B-generation-time B-memorisation-time "
    "B-memorised-fraction",
}
KINDS = {"arithmetic", "property", "published", "synthetic", "photographs", "clothes", "celeba", "full"}
HOW = {"printed", "read off a figure", "derived"}
FIRST = date(2026, 11, 23)  # the day of the first rule
VERDICTS = {"reproduced", "refuted", "inconclusive"}


def test_every_claim_of_the_documents_has_its_row() -> None:
    """The list is pinned: a row may neither vanish nor move to another topic unnoticed."""
    found = {topic: " ".join(row["id"] for row in ROWS if row["topic"] == topic) for topic in TOPICS}
    assert found == TOPICS
    assert len(ROWS) == sum(len(ids.split()) for ids in TOPICS.values())
    assert [row["aliases"] for row in ROWS if row["id"] == "T-convergence"] == [["K-transition"]]


def test_ids_and_aliases_are_unique() -> None:
    names = [name for row in ROWS for name in (row["id"], *row.get("aliases", []))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row_is_complete(row: dict) -> None:
    for field in ("id", "topic", "title", "source", "statement", "rule", "threshold_source"):
        assert row[field] == " ".join(row[field].split()) != "", f"{field} is empty or has stray white space"
    assert row["id"][0] in LEDGER["sources"]
    assert row["source"].startswith(row["id"][0] + " "), "a row cites the document that its id names"
    assert row["statement"].endswith(".") and row["rule"].endswith(".")
    assert row["evidence"] and set(row["evidence"]) <= KINDS
    assert FIRST <= row["fixed"] <= date.today() and all(row["fixed"] <= c["date"] for c in row.get("changes", []))
    cited = set(re.findall(r"rules\.(\w+)", row["threshold_source"]))
    assert cited and cited <= set(LEDGER["rules"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_reported_values_say_how_they_are_known(row: dict) -> None:
    names = [entry["name"] for entry in row["reported"]]
    assert names and len(names) == len(set(names))
    for entry in row["reported"]:
        assert set(entry) == {"name", "value", "unit", "how"}
        assert entry["how"] in HOW
        assert isinstance(entry["value"], str) or entry["unit"] != "words"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_checks_and_recorded_verdicts_belong_to_the_row(row: dict) -> None:
    kinds = set(row["evidence"])
    judged = {check.get("kind") for check in row.get("checks", [])}
    recorded = row.get("recorded", {})
    assert judged - {None} <= kinds
    assert None in judged or set(recorded) <= judged, "recorded without a check"
    assert set(recorded.values()) <= VERDICTS
    reason = row.get("reason")
    for kind, verdict in recorded.items():
        told = reason if isinstance(reason, str) else (reason or {}).get(kind)
        assert told or verdict == "reproduced", "a verdict other than `reproduced` needs its reason"


@cache
def audit_functions() -> list[ast.FunctionDef]:
    """Every function of the suite."""
    audit = Path(__file__).parents[2] / "audit"
    paths = sorted(
        path for path in audit.rglob("*.py") if path.relative_to(audit).parts[0] not in ("bench", "commands")
    )
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@cache
def functions() -> dict[str, str]:
    """Their sources by name."""
    return {node.name: ast.unparse(node) for node in audit_functions()}


def marked(name: str) -> list[tuple[list[str], str]]:
    """Arguments of every mark of that name, and the source of the test that carries it."""
    return [
        ([ast.literal_eval(value) for value in mark.args], ast.unparse(node))
        for node in audit_functions()
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{name}"
    ]


@cache
def claim_tests() -> dict[str, str]:
    """The source of the test that judges each row."""
    return {arguments[0]: source for arguments, source in marked("claim")}


@cache
def controls() -> dict[str, set[str]]:
    """The signs of each row's controls, on tests and on single parameters of tests."""
    found: dict[str, set[str]] = {}
    for node in (node for function in audit_functions() for node in ast.walk(function)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.control":
            claim, sign = (ast.literal_eval(value) for value in node.args)
            found.setdefault(claim, set()).add(sign)
    return found


@pytest.mark.parametrize("row", [row for row in ROWS if row.get("checks")], ids=lambda row: row["id"])
def test_every_claim_has_controls_of_both_signs(row: dict) -> None:
    assert controls().get(row["id"], set()) == {"positive", "negative"}, (
        f"{row['id']}: audit/ lacks one of its controls"
    )


@pytest.mark.parametrize("row", [row for row in ROWS if "full" in row["evidence"]], ids=lambda row: row["id"])
def test_full_evidence_is_checked_and_measured_or_blocked(row: dict) -> None:
    assert {None, "full"} & {check.get("kind") for check in row["checks"]}
    source = claim_tests()[row["id"]]
    assert "trained_or_none" in source or "full_elsewhere(evidence, desk" in source, "neither recorded nor blocked"


@pytest.mark.parametrize("row", [row for row in ROWS if row["id"][0] in "KVB"], ids=lambda row: row["id"])
def test_every_claim_of_theory_and_dynamics_has_a_picture(row: dict) -> None:
    tests = claim_tests()[row["id"]]
    named = set(re.findall(r"\w+", tests))
    recorders = [source for name, source in functions().items() if name in named and f"def {name}(evidence" in source]
    sources = [tests, *recorders]
    assert any("evidence.figure(" in source for source in sources), "no picture"


def test_sources_can_be_looked_up() -> None:
    assert set(LEDGER["sources"]) == {"T", "K", "V", "B"}
    for source in LEDGER["sources"].values():
        assert source["title"] and source["authors"] and source["year"] >= 2024
        assert source["link"].startswith("https://")


def test_every_rule_is_used_and_in_words() -> None:
    cited = {name for row in ROWS for name in re.findall(r"rules\.(\w+)", row["threshold_source"])}
    assert cited == set(LEDGER["rules"])
    assert all(rule["word"] and rule["rule"] for rule in LEDGER["rules"].values())

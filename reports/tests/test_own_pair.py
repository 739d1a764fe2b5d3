"""`pytest audit/ --models-a A --models-b B ...`: claims judged on a pair that somebody brings, as kind `own`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from audit.measures.own import record_own
from core.compare.options import Options
from core.compare.run import compare
from core.compare.tests.made_up import learnt, of_kinds, pair_of
from core.copies.options import Options as CopiesOptions
from reports.ledger import load_ledger
from reports.own import JUDGED, with_own
from reports.record import ClaimRecord

ROOT = Path(__file__).parents[2]
MINE = """
from core.compare.tests.made_up import learnt

a = lambda: learnt(0)
b = lambda: learnt(1)
half = lambda: learnt(1, last=12)
a2 = lambda: learnt(2)
"""
CLAIMS = ("K-strong-generalization", "K-same-data", "K-beyond-gaussian")
TESTS = ("the_sample_does_not_matter", "no_longer_matters_which_images", "share_more_than_mean")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Denoisers in a file of the user's own, their training sets, and an empty store, so that nothing is trained."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two_of_kinds.py").write_text(MINE)
    (tmp_path / "runs").mkdir()
    np.save(tmp_path / "a.npy", of_kinds(500, 0).numpy())
    np.save(tmp_path / "b.npy", of_kinds(500, 1).numpy())
    np.save(tmp_path / "half.npy", of_kinds(500, 1, last=12).numpy())
    return tmp_path


def words_of(*pair: str) -> list[str]:
    """The project's audit of some claims, of this pair."""
    paths = [str(ROOT / "audit" / "test_transition.py"), "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    chosen = ["-q", "-p", "no:cacheprovider", "-k", " or ".join(TESTS), "--runs=runs", "--report=out"]
    return [*paths, *chosen, *pair]


def written(here: Path) -> dict[str, Any]:
    """The claims of `audit.json` by id."""
    claims = json.loads((here / "out" / "audit.json").read_text())["claims"]
    return {claim["id"]: claim for claim in claims}


def test_a_pair_is_judged_and_the_ledger_keeps_nothing_of_it(here: Path) -> None:
    pair = (
        "--models-a=two_of_kinds:a",
        "--models-b=two_of_kinds:b",
        "--train-a=a.npy",
        "--train-b=b.npy",
        "--ceiling=two_of_kinds:a2",
    )
    command = [sys.executable, "-m", "pytest", *words_of(*pair)]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    claims = written(here)
    for name in CLAIMS:
        assert claims[name]["verdicts"] == {"own": "reproduced"}, (name, claims[name]["because"])
        assert not claims[name]["changed"] and "own" not in claims[name]["recorded_by_kind"]
    assert "--models-a A --models-b B" in (here / "out" / "index.html").read_text()


def test_a_network_of_half_of_the_kinds_refutes_and_passes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is brought has no recorded verdict: a run of it is green whatever it says."""
    pair = (
        "--models-a=two_of_kinds:a",
        "--models-b=two_of_kinds:half",
        "--train-a=a.npy",
        "--train-b=half.npy",
        "--ceiling=two_of_kinds:a2",
    )
    monkeypatch.syspath_prepend(here)
    assert pytest.main(words_of(*pair)) == 0
    del sys.modules["two_of_kinds"]
    claims = written(here)
    assert claims["K-beyond-gaussian"]["verdicts"] == {"own": "refuted"}
    assert claims["K-same-data"]["verdicts"]["own"] != "reproduced"


def blocked(tmp: Path, b: Tensor, claim: str) -> str:
    """What kind `own` needs where B was trained on these images and no ceiling is given; nothing if it is judged."""
    pair = pair_of(tmp, {"A": learnt(0), "B": learnt(1)}, of_kinds(500, 0), b)
    options = Options(0.9, 0.03, 0.05, levels=8, copies=CopiesOptions(lpips="off"))
    record = ClaimRecord(with_own(load_ledger(ROOT / "audit" / "claims.toml"))[claim], tmp, {})
    record_own(record, compare(pair, options, tmp / claim))
    assert bool(record.evidence) != bool(record.blocked)
    return "".join(block["needs"] for block in record.blocked if block["kind"] == "own")


def test_without_a_ceiling_or_with_shared_images_a_kind_is_blocked(tmp_path: Path) -> None:
    assert blocked(tmp_path, of_kinds(500, 1), "K-strong-generalization") == ""
    assert blocked(tmp_path, of_kinds(500, 1), "K-same-data").startswith("a second training on A's images")
    for claim in JUDGED:
        assert "500 of 500 images of B are images of A" in blocked(tmp_path, of_kinds(500, 0), claim)


def test_half_of_the_options_is_no_pair(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pytest.main(words_of("--models-a=two_of_kinds:a")) == pytest.ExitCode.USAGE_ERROR
    assert "--models-b, --train-a, --train-b: not given" in capsys.readouterr().err


def test_rows_judge_a_pair_by_their_own_numbers() -> None:
    ledger = load_ledger(ROOT / "audit" / "claims.toml")
    for before, after in zip(ledger.claims, with_own(ledger).claims, strict=True):
        if before.id not in JUDGED:
            assert after == before
            continue
        own = [check for check in after.checks if check.kind == "own"]
        assert [check.evidence for check in own] == list(JUDGED[before.id])
        numbers = {(c.evidence, c.op, c.value, c.low, c.high) for c in before.checks}
        assert {(c.evidence, c.op, c.value, c.low, c.high) for c in own} <= numbers
        for kind in before.evidence:
            judged = [c.evidence for c in before.checks if c.kind in (None, kind)]
            assert [c.evidence for c in after.checks if c.kind == kind] == judged

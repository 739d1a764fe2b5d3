"""A checkpoint saved under the published names is loaded, sampled and judged, and nothing else is trained for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli import main
from core.errors import Missing
from core.training.config import TrainConfig
from core.training.runs import RunStore
from core.training.train import train
from fixtures.faces.corpus import generate

ROOT = Path(__file__).resolve().parents[2]
TINY = TrainConfig(image_size=20, base_channels=4, blocks=1, exposures=320, epochs=2, batch=16, halve_every=1)
SIZES = (4, 12)


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 0


def audit(root: Path, report: Path, names: str, *options: str) -> dict[str, dict[str, Any]]:
    """The claims of one run of the audit, by id, those that it did not select left out."""
    words = [sys.executable, "-m", "pytest", "audit", "-q", "-p", "no:cacheprovider", "-k", names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*words, "--runs", str(root), "--report", str(report), *options], cwd=ROOT, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr  # a first verdict of kind `full` has nothing to equal
    claims = json.loads((report / "audit.json").read_text())["claims"]
    return {claim["id"]: claim for claim in claims if claim["nodeid"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of published checkpoints, imported with their corpus, that holds nothing else."""
    path = tmp_path_factory.mktemp("published")
    run("prepare", "--faces", 60, "--size", 20, "--out", path / "corpus")
    images = generate(60, size=20, seed=0).corpus.images
    for n in SIZES:
        for seed, (suffix, half) in enumerate((("", images[:n]), ("_swapped", images[-n:]))):
            folder = path / "hub" / "UNet" / "faces20x20" / f"0to255_RF_90x90_set_size_{n}{suffix}"
            folder.mkdir(parents=True)
            state = train(half, TINY, seed=seed).model.state_dict()
            torch.save({f"module.{name}": value for name, value in state.items()}, folder / "model.pt")
    run("import", "--checkpoints", path / "hub", "--corpus", path / "corpus", "--runs", path / "runs")
    return path / "runs"


def test_published_checkpoints_are_judged_and_nothing_is_trained(root: Path, tmp_path: Path) -> None:
    before = {record.key for record in RunStore(root).records()}
    claims = audit(root, tmp_path, "same_noise_gives_the_same_image or train_test_gap_shrinks")
    assert claims.keys() == {"T-convergence", "T-psnr-gap"}
    for claim in claims.values():
        assert claim["error"] is None and claim["verdicts"].keys() == {"full"}, claim["error"]
        assert claim["verdicts"]["full"] in ("reproduced", "refuted", "inconclusive")
        full = {item["name"]: item for item in claim["evidence"] if item["kind"] == "full"}
        assert all(item["kind"] == "full" for item in claim["evidence"]) and full
        (missing,) = (b for b in claim["blocked"] if b["kind"] == "synthetic")
        assert missing["command"] == f"pytest audit/ --runs {root} --scale desk" and "not in" in missing["needs"]
        assert "full" not in {b["kind"] for b in claim["blocked"]}
    assert {"agreement at N = 4", "agreement at N = 12"} <= {e["name"] for e in claims["T-convergence"]["evidence"]}
    assert {record.key for record in RunStore(root).records()} == before


def test_missing_names_what_and_how() -> None:
    assert str(Missing("a model", "train it")) == "needs a model: train it"

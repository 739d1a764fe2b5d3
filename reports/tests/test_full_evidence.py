"""A checkpoint saved under the published names is loaded, sampled and judged, and nothing else is trained for it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli import main
from audit.measures.convergence import record_convergence
from audit.measures.psnr import record_gap
from audit.measures.record import record_pairs
from core.errors import Missing
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.runs import RunStore
from core.training.train import train
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.stored import trained_pairs
from fixtures.faces.corpus import generate
from reports.ledger import load_ledger
from reports.record import ClaimRecord

ROOT = Path(__file__).resolve().parents[2]
SIDE = 12
TINY = TrainConfig(image_size=SIDE, base_channels=4, blocks=1, exposures=320, epochs=2, batch=16, halve_every=1)
LEARNT = TINY.replace(exposures=3200, learning_rate=4e-3)  # enough to see the noise that sampling starts from
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
    run("prepare", "--faces", 60, "--size", SIDE, "--out", path / "corpus")
    images = generate(60, size=SIDE, seed=0).corpus.images
    for n in SIZES:
        for seed, (suffix, half) in enumerate((("", images[:n]), ("_swapped", images[-n:]))):
            folder = path / "hub" / "UNet" / f"faces{SIDE}x{SIDE}" / f"0to255_RF_90x90_set_size_{n}{suffix}"
            folder.mkdir(parents=True)
            state = train(half, TINY, seed=seed).model.state_dict()
            torch.save({f"module.{name}": value for name, value in state.items()}, folder / "model.pt")
    run("import", "--checkpoints", path / "hub", "--corpus", path / "corpus", "--runs", path / "runs")
    return path / "runs"


@pytest.fixture(scope="module")
def replicates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three trainings of every model at a full scale, with the options of tiny ones."""
    path = tmp_path_factory.mktemp("trained")
    run("prepare", "--faces", 60, "--size", SIDE, "--out", path / "corpus")
    changed = LEARNT.to_dict().items() - preset("workstation").train.to_dict().items()
    options = [word for key, value in changed for word in ("--set", f"{key}={str(value).lower()}")]
    words = ("train", "--corpus", path / "corpus", "--scale", "workstation", "--trainings", 3, "--device", "cpu")
    run(*words, "--sizes", ",".join(map(str, SIZES)), "--runs", path / "runs", *options)
    return path / "runs"


NAMES = "same_noise_gives_the_same_image or train_test_gap_shrinks"


def test_three_trainings_a_model_are_judged_and_nothing_is_trained(replicates: Path, tmp_path: Path) -> None:
    before = {record.key for record in RunStore(replicates).records()}
    assert len(before) == 2 * len(SIZES) * 3
    claims = audit(replicates, tmp_path, NAMES)
    assert claims.keys() == {"T-convergence", "T-psnr-gap"}
    for claim in claims.values():
        assert claim["error"] is None and claim["verdicts"].keys() == {"full"}, claim["error"]
        assert claim["verdicts"]["full"] in ("reproduced", "refuted", "inconclusive")
        full = {item["name"]: item for item in claim["evidence"] if item["kind"] == "full"}
        assert all(item["kind"] == "full" for item in claim["evidence"]) and full
        (missing,) = (b for b in claim["blocked"] if b["kind"] == "synthetic")
        assert missing["command"] == f"pytest audit/ --runs {replicates} --scale desk" and "not in" in missing["needs"]
        assert "full" not in {b["kind"] for b in claim["blocked"]}
    (table,) = (e for e in claims["T-convergence"]["evidence"] if e["name"] == "agreement, ceiling and floor by N")
    assert {row["N"] for row in table["value"]} == set(SIZES)
    assert {record.key for record in RunStore(replicates).records()} == before


MEASURES = {"T-convergence": record_convergence, "T-psnr-gap": record_gap}


@pytest.mark.parametrize("name", MEASURES)
def test_published_checkpoints_one_a_model_are_not_judged_for_want_of_replicates(
    root: Path, tmp_path: Path, name: str
) -> None:
    """And the networks of the desk, which are not there either, are not trained."""
    before = {record.key for record in RunStore(root).records()}
    trained = trained_pairs(root, besides={"desk"})
    desk = TrainedExperiment(replace(preset("desk"), sizes=SIZES), root, images=60, training=False)
    (row,) = (row for row in load_ledger(ROOT / "audit" / "claims.toml").claims if row.id == name)
    claim = ClaimRecord(row, tmp_path, {})
    with pytest.raises(Missing, match="models that are not in"):
        record_pairs(claim, trained, desk, MEASURES[name])
    assert not claim.evidence
    (full,) = claim.blocked
    assert full["kind"] == "full"
    assert "3 trainings of every model" in full["needs"] and "--trainings 3" in full["command"]
    assert {record.key for record in RunStore(root).records()} == before


def test_missing_names_what_and_how() -> None:
    assert str(Missing("a model", "train it")) == "needs a model: train it"

"""`samenoise prepare`, `train`, `runs`, `sample` and `import`, as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli import TRACEBACK, main
from audit.commands import train as train_command
from audit.commands.arguments import number_list
from core.data.corpus import load_corpus
from core.denoisers.unet import UNet
from core.splits.build import baseline, by_identity, save_split
from core.tensors import read_tensors
from core.training.grid import grid
from core.training.runs import RunStore
from fixtures.faces.corpus import generate

COMMANDS = 4
TINY = ("--set", "exposures=32", "--set", "epochs=2", "--set", "base_channels=2", "--set", "blocks=1")


def run(*words: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == code


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "faces"
    run("prepare", "--faces", 40, "--size", 20, "--out", path)
    return path


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs"
    run("train", "--corpus", corpus, "--runs", path, "--sizes", "4,12", *TINY)
    return path


def test_faces_are_prepared(corpus: Path) -> None:
    expected = generate(40, size=20, seed=0).corpus
    assert torch.equal(load_corpus(corpus).images, expected.images)
    assert json.loads((corpus / "corpus.json").read_text())["provenance"]["faces"] == "40"


def test_a_published_tensor_becomes_a_corpus(tmp_path: Path) -> None:
    images = torch.rand(5, 1, 8, 8)
    torch.save(images, tmp_path / "train40x40_no_repeats.pt")
    run("prepare", "--tensor", tmp_path / "train40x40_no_repeats.pt", "--out", tmp_path / "out")
    loaded = load_corpus(tmp_path / "out")
    assert torch.equal(loaded.images, images) and loaded.names[0] == "000001"


def test_one_source_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("prepare", "--out", tmp_path, code=2)
    run("prepare", "--out", tmp_path, "--faces", 3, "--tensor", "x.pt", code=2)
    assert "got --tensor and --faces, expected exactly one" in capsys.readouterr().err


def test_the_grid_is_trained_and_listed(corpus: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, loaded = RunStore(trained), load_corpus(corpus)
    assert [(r.label["n"], r.label["group"]) for r in store.find()] == [(4, "A"), (12, "A"), (4, "B"), (12, "B")]
    (last,) = store.find(n=4, group="B")
    assert torch.equal(store.images(last), loaded.images[-4:])
    mean = store.mean(last)
    assert mean is not None and torch.allclose(mean, loaded.images[-4:].mean(dim=0))
    assert last.config is not None and last.config.base_channels == 2 and last.label["scale"] == "desk"
    assert "test_psnr" in last.history[-1]
    run("runs", "--runs", trained, "--check")
    shown = capsys.readouterr().out
    assert "4 of 4 models finished" in shown and shown.count("2/2") == 4 and shown.count("checked") == 4


def test_a_store_that_is_none_is_not_an_empty_one(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runs"
    file.write_text("")
    for words in (("runs",), ("sample", "--out", tmp_path / "out"), ("train", "--corpus", corpus, "--sizes", 4, *TINY)):
        run(*words, "--runs", file, code=2)
        assert f"{file}: found a file, expected a folder of models" in capsys.readouterr().err
    run("runs", "--runs", tmp_path / "rums", code=2)
    assert "rums: not found, expected what samenoise train or import leaves" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    run("runs", "--runs", tmp_path / "empty")
    assert "0 of 0 models finished" in capsys.readouterr().out


def test_one_task_trains_one_cell(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("train", "--corpus", corpus, "--runs", tmp_path, "--sizes", "4,12", *TINY)
    run(*arguments, "--task", 3)
    assert [(r.label["n"], r.label["group"]) for r in RunStore(tmp_path).find()] == [(12, "B")]
    run(*arguments, "--task", 4, code=2)
    assert "--task: got 4, expected 0 to 3" in capsys.readouterr().err


def test_a_split_is_cut_to_size(corpus: Path, tmp_path: Path) -> None:
    loaded = load_corpus(corpus)
    assert loaded.identities is not None
    save_split(by_identity(loaded.names, loaded.identities, 0), tmp_path / "split")
    run("train", "--corpus", corpus, "--runs", tmp_path / "runs", "--split", tmp_path / "split", "--sizes", 5, *TINY)
    (record,) = RunStore(tmp_path / "runs").find(group="A", protocol="identity")
    split = by_identity(loaded.names, loaded.identities, 0)
    names = (record.path / "names.txt").read_text().split()
    assert names == list(split.groups["A"][:5])


@pytest.mark.parametrize("definition", ["ends", "consecutive"])
def test_a_cut_baseline_split_is_the_smaller_baseline(corpus: Path, definition: str) -> None:
    loaded = load_corpus(corpus)
    whole = baseline(loaded.names, 20, "ends")
    for n in (3, 20):
        cut, built = (grid(loaded, split, sizes=[n], definition="ends") for split in (whole, None))
        assert [cell.names for cell in cut] == [cell.names for cell in built]
    (cell,) = grid(loaded, None, sizes=[4], groups=["B"], definition=definition)
    assert cell.names == baseline(loaded.names, 4, definition).groups["B"] and cell.seed == 1


def test_events_are_written(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    events = tmp_path / "events"
    run("train", "--corpus", corpus, "--runs", tmp_path / "r", "--sizes", 4, "--groups", "A", "--events", events, *TINY)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(events / "random-N=4-A"))
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [0, 1]


def test_events_are_those_of_the_whole_history(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    words = (
        "train",
        "--corpus",
        corpus,
        "--runs",
        tmp_path / "r",
        "--sizes",
        4,
        "--groups",
        "A",
        *TINY,
        "--set",
        "epochs=4",
    )

    class Stop(Exception):
        pass

    write = train_command.Events.write

    def stop(self: train_command.Events, history: list[dict[str, object]]) -> None:
        write(self, history)
        if len(history) == 2:
            raise Stop

    monkeypatch.setattr(train_command.Events, "write", stop)
    monkeypatch.setenv(TRACEBACK, "1")  # so that the interruption passes through the program
    with pytest.raises(Stop):
        main([str(word) for word in (*words, "--events", tmp_path / "stopped")])
    monkeypatch.undo()

    def steps(name: str) -> list[int]:
        found = accumulator.EventAccumulator(str(tmp_path / name / "random-N=4-A"))
        found.Reload()
        return [event.step for event in found.Scalars("test_psnr")]

    assert steps("stopped") == [0, 1], "what was written before the end is on disk"
    for name in ("stopped", "stopped", "later"):  # resumed; finished already; finished before events were asked for
        run(*words, "--events", tmp_path / name)
        assert steps(name) == [0, 1, 2, 3]


def test_the_corpus_of_a_split_is_found(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("split", corpus, "--kind", "baseline", "--size", 12, "--out", tmp_path / "split")
    run("train", "--split", tmp_path / "split", "--runs", tmp_path / "runs", "--sizes", "4", *TINY)
    (record,) = RunStore(tmp_path / "runs").find(group="A")
    assert record.data["corpus"] == str(corpus) and record.environment["device"] == "cpu"
    run("train", "--runs", tmp_path / "runs", code=2)
    assert "--corpus: got none, expected a saved corpus, or --split" in capsys.readouterr().err
    (tmp_path / "list").write_text("a\nb\n")
    run("split", tmp_path / "list", "--kind", "baseline", "--size", 1, "--out", tmp_path / "bare")
    run("train", "--split", tmp_path / "bare", "--runs", tmp_path / "runs", code=2)
    assert "say what was split with --corpus" in capsys.readouterr().err


def test_what_others_train_comes_last(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at before every cell, not once: what is free by then is not left waiting behind what is not."""
    asked: list[str] = []
    trained: list[tuple[object, ...]] = []
    original = RunStore.get_or_train

    def busy(self: RunStore, key: str) -> bool:
        asked.append(key)
        return len(trained) < 2 and key == asked[0]  # the first cell is another's until two others are done

    def noted(self: RunStore, *args: Any, **kwargs: Any) -> Any:
        trained.append((kwargs["label"]["n"], kwargs["label"]["group"]))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(RunStore, "busy", busy)
    monkeypatch.setattr(RunStore, "get_or_train", noted)
    run("train", "--corpus", corpus, "--runs", tmp_path, "--sizes", "4,12", *TINY)
    assert trained == [(4, "B"), (12, "A"), (4, "A"), (12, "B")]


RACE = f"""
import os, sys
import core.training.runs as runs, audit.commands.train
from audit.cli import TRACEBACK, main
log, train = sys.argv.pop(1), runs.train
def noted(images, config, **more):
    with open(log, "a") as stream:
        stream.write(f"{{len(images)}} {{more['seed']}}\\n")
    return train(images, config, **more)
runs.train = noted
for _ in range({COMMANDS}):  # everything is imported once, and all begin together
    if not os.fork():
        main()
sys.exit(any([os.wait()[1] for _ in range({COMMANDS})]))
"""


def test_four_commands_racing_for_a_grid_train_each_cell_once(corpus: Path, tmp_path: Path) -> None:
    words = ["train", "--corpus", str(corpus), "--runs", str(tmp_path / "runs"), "--sizes", "4,12", *TINY]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RACE, str(tmp_path / "log"), *words]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, env=environment).returncode == 0
    expected = [f"{n} {seed}" for n in (4, 12) for seed in (0, 1)]
    assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(expected)
    assert len(RunStore(tmp_path / "runs").find()) == 4


def test_the_list_says_what_models_are_of(
    corpus: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run("runs", "--runs", trained)
    shown = capsys.readouterr().out
    assert f"of 1: {corpus}; definition ends; base_channels 2; blocks 1; exposures 32; epochs 2" in shown
    published(tmp_path / "hub")
    run("import", "--checkpoints", tmp_path / "hub", "--runs", tmp_path / "runs")
    assert capsys.readouterr().out.count("not judged: give --corpus, the images it was trained on") == 2
    run("runs", "--runs", tmp_path / "runs")
    assert "data faces; UNet/faces/0to255_RF_90x90_set_size_10/model.pt" in capsys.readouterr().out


def test_trajectories_are_kept_on_request(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("sample", "--runs", trained, "--seeds", "0,5", "--out", tmp_path, "--keep-every", 3)
    path = sorted(tmp_path.glob("*.safetensors"))[0]
    tensors = read_tensors(path)
    for seed, steps in zip((0, 5), tensors["steps"].tolist(), strict=True):
        assert tensors[f"trajectory.{seed}"].shape == (1 + steps // 3, 1, 20, 20)
    run("sample", "--runs", trained, "--out", tmp_path, "--keep-every", 3, "--sampler", "heun", code=2)
    assert "--keep-every: got 3 with --sampler heun" in capsys.readouterr().err


def test_a_shared_start_is_that_of_the_pair(
    corpus: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "runs")
    words = ("train", "--corpus", corpus, "--runs", tmp_path / "runs", "--sizes", "4", *TINY)
    run(*words, "--noise", "quadratic")  # a second law in the store
    run(*words, "--groups", "A", "--seed", 7)  # a lone model
    run("sample", "--runs", tmp_path / "runs", "--seeds", "0", "--out", tmp_path / "out", "--start", "shared")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 6
    assert "skipped: desk random 4 A has no other group of the same training" in capsys.readouterr().err


@pytest.mark.parametrize("sampler", ["ascent", "flow", "heun", "euler"])
def test_samples_are_written_per_model(trained: Path, tmp_path: Path, sampler: str) -> None:
    run("sample", "--runs", trained, "--seeds", "0:2,7", "--out", tmp_path, "--sampler", sampler)
    paths = sorted(tmp_path.glob("*.safetensors"))
    assert len(paths) == 4
    for path in paths:
        about = json.loads(path.with_suffix(".json").read_text())
        tensors = read_tensors(path, sha256=about["sha256"])
        assert tensors["images"].shape == (3, 1, 20, 20) and tensors["seeds"].tolist() == [0, 1, 7]
        assert about["model"].startswith(path.name[:16]) and about["sampler"] == sampler


def test_starts_differ_as_they_say(trained: Path, tmp_path: Path) -> None:
    images = {}
    for start in ("group", "shared", "none"):
        run("sample", "--runs", trained, "--seeds", "0", "--out", tmp_path / start, "--start", start)
        images[start] = [read_tensors(path)["images"] for path in sorted((tmp_path / start).glob("*.safetensors"))]
    for a in images["group"]:
        assert not any(torch.equal(a, b) for other in ("shared", "none") for b in images[other])


def published(root: Path) -> None:
    for seed, folder in enumerate(("0to255_RF_90x90_set_size_10", "0to255_RF_90x90_set_size_10_swapped")):
        path = root / "UNet" / "faces" / folder / "model.pt"
        path.parent.mkdir(parents=True)
        model = UNet(2, 1, generator=torch.Generator().manual_seed(seed))
        torch.save({f"module.{name}": value for name, value in model.state_dict().items()}, path)


def test_published_models_are_imported_and_sampled(corpus: Path, tmp_path: Path) -> None:
    published(tmp_path / "hub")
    run("import", "--checkpoints", tmp_path / "hub", "--runs", tmp_path / "runs", "--corpus", corpus)
    store = RunStore(tmp_path / "runs")
    (last,) = store.find(group="B", protocol="random", data="faces", n=10)
    assert torch.equal(store.images(last), load_corpus(corpus).images[-10:])
    run("sample", "--runs", tmp_path / "runs", "--seeds", "0:2", "--out", tmp_path / "out", "--start", "shared")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "--scale", "enormous"), "scale: got 'enormous', expected one of desk"),
        (("train", "--sizes", "21"), "expected 1 to 20 (half of the 40 images)"),
        (("train", "--sizes", "some"), "--sizes: got 'some', expected whole numbers"),
        (("train", "--groups", "C", "--sizes", "4"), "groups: got 'C', expected some of A, B"),
        (("train", "--set", "epoch=3"), "unknown option 'epoch'"),
        (("train", "--set", "epochs"), "--set: got 'epochs', expected KEY=VALUE"),
        (("train", "--set", "epochs=many"), "--set epochs: got 'many', expected a number"),
        (("train", "--noise", "cubic"), "noise: got 'cubic', expected one of uniform, quadratic"),
        (("train", "--sizes", "4", "--set", "image_size=40"), "images: got shape (4, 1, 20, 20), expected"),
        (("train", "--sizes", "4", "--set", "learning_rate=1e30", *TINY), "learning_rate: with 1e+30 the loss became"),
        (("train", "--sizes", "4", "--split", "nowhere"), "nowhere"),
        (("sample", "--out", "x"), "found no finished model"),
        (("sample", "--out", "x", "--sampler", "magic"), "--sampler: got 'magic'"),
        (("import", "--checkpoints", "."), "no model found, expected UNet/<data>/"),
        (("import", "--checkpoints", ".", "--fetch", "all"), "--fetch: got 'all'"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...],
    says: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ("--corpus", corpus) if words[0] == "train" else ()
    run(*words, "--runs", "runs", *more, code=2)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("samenoise: ") and says in message


def test_a_sample_without_a_known_start_says_so(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published(tmp_path / "hub")
    run("import", "--checkpoints", tmp_path / "hub", "--runs", tmp_path / "runs")
    run("sample", "--runs", tmp_path / "runs", "--out", tmp_path / "x", code=2)
    assert "training images of published faces 10 A are not known; use --start none" in capsys.readouterr().err
    run("sample", "--runs", trained, "--out", tmp_path / "x", "--start", "middle", code=2)
    assert "--start: got 'middle'" in capsys.readouterr().err


def test_a_killed_command_goes_on(corpus: Path, tmp_path: Path) -> None:
    words = ["train", "--corpus", str(corpus), "--sizes", "4", "--groups", "A", *TINY, "--set", "epochs=40", "--runs"]
    command = [sys.executable, "-c", "from audit.cli import TRACEBACK, main; main()", *words, str(tmp_path / "cut")]
    # the number of threads moves the last bits of a model: that process gets one, as this one has
    assert torch.get_num_threads() == 1
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not list(tmp_path.glob("cut/*/checkpoint.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    for name in ("cut", "whole"):
        run(*words, tmp_path / name)
    (cut,), (whole,) = (RunStore(tmp_path / name).find() for name in ("cut", "whole"))
    assert cut.key == whole.key and len(cut.history) == 40
    assert cut.model is not None and whole.model is not None
    assert cut.model["sha256"] == whole.model["sha256"]


def test_number_lists() -> None:
    assert number_list("10,100,1_000", "x") == [10, 100, 1000] and number_list("0:3,9", "x") == [0, 1, 2, 9]

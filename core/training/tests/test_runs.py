"""The run store: what changes a key, what damage does, and who may train at the same time."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.denoisers.unet import UNet
from core.errors import InputError
from core.tests.children import SERVER, race
from core.training import runs
from core.training.config import TrainConfig
from core.training.runs import MODEL, RECORD, RunStore

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = TrainConfig(
    image_size=8, base_channels=2, blocks=1, exposures=32, epochs=2, batch=16, halve_every=1, repetition="exact"
)


def pictures(seed: int = 0, count: int = 6) -> Tensor:
    return torch.rand((count, 1, 8, 8), generator=torch.Generator().manual_seed(seed))


def same(a: UNet, b: UNet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the seed of every training that really runs."""
    ran: list[int] = []
    train = runs.train

    def counted(*args: Any, **kwargs: Any) -> Any:
        ran.append(kwargs["seed"])
        return train(*args, **kwargs)

    monkeypatch.setattr(runs, "train", counted)
    return ran


def test_a_model_is_trained_once(tmp_path: Path, trainings: list[int]) -> None:
    label = {"group": "A", "n": 6}
    first = RunStore(tmp_path).get_or_train(pictures(), TINY, seed=3, label=label, test_images=pictures(1))
    second = RunStore(tmp_path).get_or_train(pictures(), TINY, seed=3)
    assert trainings == [3]
    assert same(first.model, second.model) and first.history == second.history
    assert second.config == TINY and second.seed == 3 and not second.model.training
    (record,) = RunStore(tmp_path).records()
    assert record.label == label and record.kind == "trained" and record.epochs == 2
    assert record.data["n"] == 6 and record.environment["torch"] == torch.__version__
    assert sorted(path.name for path in record.path.iterdir()) == [
        ".lock",
        "history.jsonl",
        "mean.safetensors",
        MODEL,
        RECORD,
    ]


def test_everything_that_determines_a_model_changes_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore(tmp_path)
    keys = [store.key(pictures(), TINY, 0)]
    touched = pictures()
    touched[3, 0, 4, 4] += 1e-6
    keys += [store.key(images, TINY, 0) for images in (pictures().flip(0), pictures()[:5], touched)]
    keys += [store.key(pictures(), TINY, 1)]
    others = {
        "image_size": 8, "in_channels": 3, "base_channels": 4, "blocks": 2, "exposures": 33, "epochs": 3, "batch": 8,
        "learning_rate": 2e-3, "halve_every": 2, "noise": "quadratic", "repetition": "whole", "precision": "bf16",
        "accumulate": 2, "channels_last": False, "compile": True, "noise_draws": "stratified", "schedule": "cooled",
        "cooldown": 0.5, "beta1": 0.8, "beta2": 0.95,
    }  # fmt: skip
    assert others.keys() == TINY.to_dict().keys()
    keys += [store.key(pictures(), TINY.replace(**{k: v}), 0) for k, v in others.items() if k != "image_size"]
    keys += [store.key(pictures(), TINY.replace(image_size=16), 0)]
    monkeypatch.setattr("core.training.train.TRAINER_VERSION", -1)
    keys += [store.key(pictures(), TINY, 0)]
    assert len(set(keys)) == len(keys)


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(row: dict[str, Any]) -> None:
        raise Stop

    store = RunStore(tmp_path)
    with pytest.raises(Stop):
        store.get_or_train(pictures(), TINY, seed=0, label={"group": "A"}, on_epoch=stop)
    (record,) = store.records()
    assert record.model is None and record.epochs == 1
    assert store.find(group="A") == []
    with pytest.raises(InputError, match="training stopped after 1 epochs"):
        store.get(record.key)
    rows: list[dict[str, Any]] = []
    resumed = store.get_or_train(pictures(), TINY, seed=0, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [1]
    assert same(resumed.model, RunStore(tmp_path / "other").get_or_train(pictures(), TINY, seed=0).model)


@pytest.mark.parametrize("name", [MODEL, RECORD])
def test_damage_is_found(tmp_path: Path, trainings: list[int], name: str) -> None:
    store = RunStore(tmp_path)
    whole = store.get_or_train(pictures(), TINY, seed=0)
    path = tmp_path / store.key(pictures(), TINY, 0) / name
    raw = bytearray(path.read_bytes())
    raw[-30] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match=f"{name}: damaged"):
        store.get(path.parent.name)
    with pytest.raises(InputError, match=f"{name}: damaged"):
        RunStore(tmp_path, damaged="refuse").get_or_train(pictures(), TINY, seed=0)
    with pytest.warns(UserWarning, match=f"{name}: damaged.*training it again"):
        again = store.get_or_train(pictures(), TINY, seed=0)
    assert trainings == [0, 0] and same(whole.model, again.model)
    assert same(store.get(path.parent.name).model, whole.model)


def test_a_model_in_another_directory_is_damage(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.get_or_train(pictures(), TINY, seed=0)
    key = store.key(pictures(), TINY, 0)
    (tmp_path / key).rename(tmp_path / ("0" * 64))
    with pytest.warns(UserWarning, match="damaged"):
        assert store.records() == []


def test_records_are_found_by_label(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for n in (4, 6):
        for seed, group in enumerate("AB"):
            store.get_or_train(pictures(count=n), TINY, seed=seed, label={"group": group, "n": n})
    assert [(r.label["group"], r.label["n"]) for r in store.records()] == [("A", 4), ("A", 6), ("B", 4), ("B", 6)]
    assert [r.label["n"] for r in store.find(group="B")] == [4, 6]
    assert len(store.find(group="B", n=4)) == 1 and store.find(group="C") == []
    assert RunStore(tmp_path / "nowhere").records() == []


def test_a_model_from_elsewhere_is_copied_in_and_recognised(tmp_path: Path) -> None:
    model = UNet(4, 2, generator=torch.Generator().manual_seed(0)).eval()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    store = RunStore(tmp_path)
    record = store.add(state, label={"group": "A", "n": 10}, source="UNet/faces/model.pt")
    assert record.kind == "imported" and record.source == "UNet/faces/model.pt"
    assert store.add(model.state_dict(), label={"group": "A", "n": 10}, source="again").key == record.key
    (found,) = store.find(n=10)
    loaded = store.get(found.key)
    assert same(loaded.model, model) and loaded.config is None and loaded.seed is None
    y = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded.model(y), model(y))
    del state["module.mid_block.0.weight"]
    with pytest.raises(InputError, match=r"broken.pt: mid_block.0.weight is missing"):
        store.add(state, label={}, source="broken.pt")


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="runs: the run directory cannot be written"):
        RunStore(tmp_path / "file" / "runs").get_or_train(pictures(), TINY, seed=0)


def test_a_finished_model_is_read_from_a_store_that_cannot_be_written(
    tmp_path: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    first = store.get_or_train(pictures(), TINY, seed=0)

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    for place in ("pathlib.Path.mkdir", "core.training.runs.write_atomic", "fcntl.flock"):
        monkeypatch.setattr(place, read_only)
    assert same(store.get_or_train(pictures(), TINY, seed=0).model, first.model)
    assert not store.busy(store.key(pictures(), TINY, 0))
    assert [record.key for record in store.find()] == [store.key(pictures(), TINY, 0)]
    with pytest.raises(InputError, match="the run directory cannot be written"):
        store.get_or_train(pictures(), TINY, seed=1)
    assert trainings == [0]


def test_what_an_import_knew_stays_known(tmp_path: Path) -> None:
    state = UNet(4, 2, generator=torch.Generator().manual_seed(0)).state_dict()
    store = RunStore(tmp_path)
    origin = runs.Origin("corpus", tuple(f"{k}.png" for k in range(6)))
    first = store.add(state, label={"n": 6, "note": "x"}, source="a", images=pictures(), origin=origin)
    again = store.add(state, label={"n": 7}, source="b")
    assert again.data == first.data and store.names(again) == origin.names and store.mean(again) is not None
    assert again.label == {"n": 7, "note": "x"} and again.source == "b"
    other = store.add(state, label={"n": 5}, source="c", images=pictures(count=5), origin=origin)
    assert other.data["n"] == 5


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged: got 'ignore'"):
        RunStore(tmp_path, damaged="ignore")


def test_four_racing_processes_train_each_cell_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [SERVER.Process(target=race, args=(str(tmp_path / "store"), str(log))) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sorted(log.read_text().split()) == ["0", "1", "2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(RunStore(tmp_path / "store").records()) == 3


def test_records_are_plain_json(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.get_or_train(pictures(), TINY, seed=0, label={"n": 6})
    record = json.loads((tmp_path / store.key(pictures(), TINY, 0) / RECORD).read_text())
    assert record["schema"] == "samenoise/run/1" and record["config"] == TINY.to_dict()
    assert record["model"]["architecture"] == {"base_channels": 2, "blocks": 1, "in_channels": 1}

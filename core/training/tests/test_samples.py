"""Samples are found again under the key of earlier versions, and seeds without an image are named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.training import runs
from core.training.config import SampleConfig, TrainConfig
from core.training.runs import RunStore
from core.training.samples import SAMPLES, kept_samples, not_converged

MEAN = torch.arange(4.0).reshape(1, 2, 2) / 4


def zero(y: Tensor) -> Tensor:
    return y * 0


@pytest.mark.parametrize(
    ("model", "seeds", "start", "name"),
    [  # file names that the code before `kept_samples` gave
        ("a" * 64, range(64), None, "76cf435a63bb8045e6865a561b2b851f040ff644e65ca793194b4120927606b7"),
        ("A" * 64, range(3), ["a" * 64, "group"], "10f3917912905a1659dd4f22c4e6a1abd10984598f263c58ba8910115f7197a5"),
        ("B" * 64, range(3), ["b" * 64, "shared"], "595ec0a9a1d79a0fc1bf7b93d5514455a10705dc136c44edc1a955e766a8cffe"),
    ],
)
def test_the_key_is_that_of_stores_made_before(
    tmp_path: Path, model: str, seeds: range, start: object, name: str
) -> None:
    kept_samples(tmp_path, model, lambda: zero, MEAN, seeds, SampleConfig(), device="cpu", start=start)
    assert {path.stem for path in (tmp_path / SAMPLES).iterdir()} == {name}


def test_seeds_that_do_not_converge_are_nan(tmp_path: Path) -> None:
    images = kept_samples(tmp_path, "m", lambda: lambda y: y * 9, MEAN, (3, 5), SampleConfig(), device="cpu")
    assert images.shape == (2, 1, 2, 2) and not_converged(images, (3, 5)) == [3, 5]
    assert not_converged(torch.tensor([0.0, torch.nan]).reshape(2, 1, 1, 1), (3, 5)) == [5]


def test_training_images_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Tensor] = []
    whole = runs.tensor_sha256

    def count(images: Tensor) -> str:
        hashed.append(images)
        return whole(images)

    for module in ("core.training.runs", "core.training.train"):
        monkeypatch.setattr(f"{module}.tensor_sha256", count)
    config = TrainConfig(image_size=8, base_channels=2, blocks=1, exposures=8, epochs=1, batch=4)
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    store = RunStore(tmp_path)
    store.get_or_train(images, config, seed=0)
    assert len(hashed) == 1
    store.get_or_train(images, config, seed=1, images_sha256=whole(images))
    assert len(hashed) == 1 and len(store.find()) == 2

"""The optimiser and its schedule, as Topeza (2025), section 4.2, states them."""

from typing import Any

import pytest
import torch

from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.train import build_model, train

SEED = 0
STATED = {"learning_rate": 0.001, "epochs": 1000, "batch": 512, "epochs_at_another_rate": 0}


def on_a_small_network(config: TrainConfig) -> TrainConfig:
    """These options on a network and a set so small that training takes milliseconds."""
    return config.replace(image_size=4, base_channels=4, blocks=1, exposures=1)


def first_step(config: TrainConfig) -> float:
    """Median change of a weight in the first step of a training with these options."""
    images = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    before = build_model(on_a_small_network(config), SEED).state_dict()
    after = train(images, on_a_small_network(config).replace(epochs=1), seed=SEED).model.state_dict()
    return float(torch.cat([(after[k] - before[k]).abs().flatten() for k in before if k.endswith("weight")]).median())


def optimiser_figures(rates: list[float], batch: int, step: float) -> dict[str, float]:
    """The figures of T 4.2, from the learning rate of every epoch, the batch and the first step."""
    expected = [0.001 * 0.5 ** (epoch // 100) for epoch in range(len(rates))]
    return {
        "learning_rate": rates[0],
        "epochs": len(rates),
        "batch": batch,
        "epochs_at_another_rate": sum(a != b for a, b in zip(rates, expected, strict=True)),
        "first_step": step,
    }


def published_rates(rate: float = 1e-3, every: int = 100, epochs: int = 1000) -> list[float]:
    """The loop of the published trainer, which halves in place."""
    rates = []
    for epoch in range(epochs):
        if epoch >= every and epoch % every == 0:
            rate = rate / 2
        rates.append(rate)
    return rates


def holds(found: dict[str, float]) -> bool:
    """Whether the figures are those that are stated; the first step to within Adam's epsilon and float32."""
    return found == {**STATED, "first_step": pytest.approx(0.001, abs=1e-5)}


def test_the_preset_of_the_paper_trains_as_stated() -> None:
    config = preset("paper40").train
    images = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    rates = [row["learning_rate"] for row in train(images, on_a_small_network(config), seed=SEED).history]
    assert rates == published_rates()
    assert holds(optimiser_figures(rates, config.batch, first_step(config)))


@pytest.mark.parametrize("change", [{"rate": 2e-3}, {"every": 99}, {"epochs": 999}], ids=str)
def test_another_schedule_is_noticed(change: dict[str, Any]) -> None:
    assert not holds(optimiser_figures(published_rates(**change), 512, 1e-3))


def test_another_optimiser_or_batch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def sgd(parameters: Any, lr: float, **_: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=lr)

    assert holds(optimiser_figures(published_rates(), 512, first_step(TrainConfig())))
    assert not holds(optimiser_figures(published_rates(), 256, first_step(TrainConfig())))
    monkeypatch.setattr(torch.optim, "Adam", sgd)
    assert not holds(optimiser_figures(published_rates(), 512, first_step(TrainConfig())))

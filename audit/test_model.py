"""The network and its training, as Topeza (2025), section 4, describes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.measures.model import (
    described_parameters,
    in_double,
    network_structure,
    random_network,
    rounding_bound,
    scaling_errors,
)
from audit.measures.monitoring import MONITORED, kept_history, missing_records, monitored_twice, train_monitored
from audit.measures.networks import LEVELS
from audit.measures.record import SEED
from audit.measures.training import (
    distance_from_uniform,
    first_step,
    noise_differences,
    on_a_small_network,
    optimiser_figures,
    published_rates,
    quadratic_job,
    record_noise_law,
)
from audit.plots.training import plot_histories
from core.denoisers.unet import UNet, parameter_count
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.train import train
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- the network


@pytest.mark.claim("T-unet-parameters")
def test_parameters(evidence: ClaimRecord) -> None:
    for name, value in network_structure(UNet()).items():
        evidence.add(name, value, kind="arithmetic")
    note = "counted by hand: kernels of every layer, one factor a channel of every normalisation that the code has"
    evidence.add("parameters_by_hand", described_parameters(), kind="arithmetic", note=note)


@pytest.mark.control("T-unet-parameters", "positive")
def test_networks_of_other_sizes_are_counted_alike(judge: Judge) -> None:
    for size in ((16, 2), (8, 1), (4, 4)):
        assert described_parameters(*size) == parameter_count(UNet(*size))
    found = {**network_structure(UNet()), "parameters_by_hand": 7_659_264}
    assert judge("T-unet-parameters", found) == "reproduced"


@pytest.mark.control("T-unet-parameters", "negative")
@pytest.mark.parametrize("defect", ["one bias", "narrower", "fewer blocks", "a second factor"])
def test_another_network_is_noticed(judge: Judge, defect: str) -> None:
    model = UNet(63 if defect == "narrower" else 64, 2 if defect == "fewer blocks" else 3)
    if defect == "one bias":
        model.mid_block.register_parameter("bias", nn.Parameter(torch.zeros(1)))
    if defect == "a second factor":
        model.mid_block.register_parameter("scale", nn.Parameter(torch.ones(512)))
    assert judge("T-unet-parameters", {**network_structure(model), "parameters_by_hand": 7_659_264}) == "refuted"


# -------------------------------------------------------------------------------------------------------- homogeneity


@pytest.mark.claim("T-unet-bias-free")
def test_nothing_is_added(evidence: ClaimRecord) -> None:
    notes = {
        "additive_constants": "bias parameters, and outputs that are not zero for an input of zeros",
        "error_for_powers_of_two": "largest |f(a y) - a f(y)| for a = 2^-12, 2^-3, 2, 2^10",
        "error_over_rounding_bound": "largest |f(a y) - a f(y)| for a = 1e-4 to 1e4, in units of the proven bound",
    }
    for name, value in scaling_errors(random_network).items():
        evidence.add(name, value, kind="property", n=5, seeds="0:5", varies="weights and inputs", note=notes[name])


@pytest.mark.control("T-unet-bias-free", "positive")
def test_float32_stays_within_the_proven_bound_of_float64(judge: Judge) -> None:
    for seed in range(3):
        model, y = random_network(seed), torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            error = (model(y).double() - in_double(seed)(y.double())).abs()
        assert (error <= rounding_bound(model, y, 0.0)).all() and error.max() > 0
    assert judge("T-unet-bias-free", scaling_errors(random_network, 1)) == "reproduced"


@pytest.mark.control("T-unet-bias-free", "negative")
@pytest.mark.parametrize("defect", ["a bias", "an offset", "a mean subtracted"])
def test_an_additive_constant_is_noticed(judge: Judge, defect: str) -> None:
    def spoiled(seed: int) -> UNet:
        model = random_network(seed)
        modules = dict(model.named_modules())
        if defect == "a bias":
            modules["decoder.0.3"].bias = nn.Parameter(torch.full((1,), 1e-3))
        elif defect == "an offset":
            modules["decoder.0.3"].register_forward_hook(lambda module, inputs, output: output + 1e-3)
        else:
            modules["mid_block.1"].register_forward_hook(lambda module, inputs, output: output - 0.01)
        return model

    assert judge("T-unet-bias-free", scaling_errors(spoiled, 1)) == "refuted"


# -------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.claim("T-noise-uniform")
@pytest.mark.trains(jobs=lambda desk: [quadratic_job(desk)])
def test_the_noise_law(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_noise_law(evidence, desk)


@pytest.mark.control("T-noise-uniform", "positive")
def test_a_uniform_law_and_equal_models_pass(judge: Judge) -> None:
    found = distance_from_uniform(lambda u: u)
    assert judge("T-noise-uniform", {"distance_of_distribution_functions": found}, "arithmetic") == "reproduced"
    curve = np.random.default_rng(0).normal(20, 2, (len(LEVELS), 200))
    other = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    assert judge("T-noise-uniform", noise_differences(curve, other), "synthetic") == "reproduced"


@pytest.mark.control("T-noise-uniform", "negative")
def test_another_law_and_a_worse_model_are_noticed(judge: Judge) -> None:
    found = distance_from_uniform(lambda u: u**1.01)
    assert judge("T-noise-uniform", {"distance_of_distribution_functions": found}, "arithmetic") == "refuted"
    curve = np.random.default_rng(0).normal(20, 2, (len(LEVELS), 200))
    worse = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    worse[3] -= 0.5
    assert judge("T-noise-uniform", noise_differences(curve, worse), "synthetic") == "refuted"


# ---------------------------------------------------------------------------------------------------------- optimiser


@pytest.mark.claim("T-optimiser")
def test_the_optimiser(evidence: ClaimRecord) -> None:
    config = preset("paper40").train
    images = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    rates = [row["learning_rate"] for row in train(images, on_a_small_network(config), seed=SEED).history]
    note = "median change of a weight in the first step: Adam moves each by the learning rate, whatever its gradient"
    for name, value in optimiser_figures(rates, config.batch, first_step(config)).items():
        evidence.add(name, value, kind="property", n=len(rates), note=note if name == "first_step" else None)


@pytest.mark.control("T-optimiser", "positive")
def test_the_published_loop_is_the_same_schedule(judge: Judge) -> None:
    found = optimiser_figures(published_rates(), TrainConfig().batch, first_step(TrainConfig()))
    assert judge("T-optimiser", found) == "reproduced"


@pytest.mark.control("T-optimiser", "negative")
@pytest.mark.parametrize("change", [{"rate": 2e-3}, {"every": 99}, {"epochs": 999}], ids=str)
def test_another_schedule_is_noticed(judge: Judge, change: dict[str, Any]) -> None:
    assert judge("T-optimiser", optimiser_figures(published_rates(**change), 512, 1e-3)) == "refuted"


@pytest.mark.control("T-optimiser", "negative")
def test_another_optimiser_or_batch_is_noticed(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def sgd(parameters: Any, lr: float, **_: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=lr)

    assert judge("T-optimiser", optimiser_figures(published_rates(), 256, first_step(TrainConfig()))) == "refuted"
    monkeypatch.setattr(torch.optim, "Adam", sgd)
    assert judge("T-optimiser", optimiser_figures(published_rates(), 512, first_step(TrainConfig()))) == "refuted"


# --------------------------------------------------------------------------------------------------------- monitoring


@pytest.mark.claim("T-monitoring")
def test_everything_is_kept(evidence: ClaimRecord, desk: TrainedExperiment, tmp_path: Path) -> None:
    pair = [Cell("random", desk.sizes[-1], group) for group in GROUPS]
    figures = [evidence.figure("history", plot_histories({str(cell): desk.model(cell).history for cell in pair}))]
    for name, value in missing_records(*monitored_twice(tmp_path)).items():
        evidence.add(name, value, kind="synthetic", n=MONITORED.epochs, varies="epoch", figures=figures)


@pytest.mark.control("T-monitoring", "positive")
def test_two_uninterrupted_runs_are_the_same(judge: Judge, tmp_path: Path) -> None:
    states = [train_monitored(tmp_path / name) for name in "ab"]
    found = missing_records(kept_history(tmp_path / "a"), states[0], kept_history(tmp_path / "b"))
    assert judge("T-monitoring", found) == "reproduced"


@pytest.mark.control("T-monitoring", "negative")
@pytest.mark.parametrize("defect", ["a missing row", "no PSNR", "a missed state", "a loss that differs"])
def test_a_gap_in_the_records_is_noticed(judge: Judge, tmp_path: Path, defect: str) -> None:
    rows, states, resumed = monitored_twice(tmp_path)
    if defect == "a missing row":
        resumed = resumed[:-1]
    elif defect == "no PSNR":
        del rows[3]["psnr"]
    elif defect == "a missed state":
        states -= 1
    else:
        resumed[4]["loss"] *= 1 + 1e-7
    assert judge("T-monitoring", missing_records(rows, states, resumed)) == "refuted"

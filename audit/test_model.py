"""The network and its training, as Topeza (2025), section 4, describes them."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from audit.measures.networks import CURVE_IMAGES, LEVELS, output_psnr, psnr_differences
from audit.measures.record import SEED
from core.denoisers.unet import BiasFreeNorm, UNet, parameter_count
from core.tensors import read_tensors
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.state import HISTORY, INDEX, History
from core.training.train import build_model, train
from fixtures.experiments.desk import GROUPS, RANDOM, Cell, Desk, ModelJob
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- the network


def network_structure(model: UNet) -> dict[str, int]:
    """What T 4.1 says of the network, counted."""
    (side,) = {side for m in model.modules() if isinstance(m, nn.Conv2d) for side in m.kernel_size}
    return {
        "parameters": parameter_count(model),
        "encoder_blocks": len(model.encoder),
        "decoder_blocks": len(model.decoder),
        "kernel": side,
    }


def described_parameters(width: int = 64, blocks: int = 3) -> int:
    """The same count from the words of T 4.1 alone: kernels, and one factor a channel of every normalisation."""
    channels = [width * 2**b for b in range(blocks + 1)]
    total = 9 * width + 9 * width * width + width  # the first block normalises only its second convolution
    for narrow, wide in itertools.pairwise(channels):
        total += 9 * narrow * wide + 9 * wide * wide + 2 * wide  # down, or the middle
        total += 4 * wide * narrow + 9 * wide * narrow  # up, and the convolution after the concatenation
        total += narrow + (9 * narrow * narrow + narrow if narrow > width else 9 * narrow)
    return total


@pytest.mark.claim("T-unet-parameters")
def test_parameters(evidence: ClaimRecord) -> None:
    for name, value in network_structure(UNet()).items():
        evidence.add(name, value, kind="arithmetic")
    note = "counted from the description: kernels of every layer, one factor a channel of every normalisation"
    evidence.add("parameters_as_described", described_parameters(), kind="arithmetic", note=note)


@pytest.mark.control("T-unet-parameters", "positive")
def test_networks_of_other_sizes_are_counted_alike(judge: Judge) -> None:
    for size in ((16, 2), (8, 1), (4, 4)):
        assert described_parameters(*size) == parameter_count(UNet(*size))
    assert (
        judge("T-unet-parameters", {**network_structure(UNet()), "parameters_as_described": 7_659_264}) == "reproduced"
    )


@pytest.mark.control("T-unet-parameters", "negative")
@pytest.mark.parametrize("defect", ["one bias", "narrower", "fewer blocks", "a second factor"])
def test_another_network_is_noticed(judge: Judge, defect: str) -> None:
    model = UNet(63 if defect == "narrower" else 64, 2 if defect == "fewer blocks" else 3)
    if defect == "one bias":
        model.mid_block.register_parameter("bias", nn.Parameter(torch.zeros(1)))
    if defect == "a second factor":
        model.mid_block.register_parameter("scale", nn.Parameter(torch.ones(512)))
    assert judge("T-unet-parameters", {**network_structure(model), "parameters_as_described": 7_659_264}) == "refuted"


# -------------------------------------------------------------------------------------------------------- homogeneity

ROUNDING = 2.0**-24  # unit roundoff of float32


def random_network(seed: int) -> UNet:
    """Random weights, with factors and deviations of the size that training gives them."""
    source = torch.Generator().manual_seed(seed)
    model = UNet(16, 2, generator=source).eval()
    for module in model.modules():
        if isinstance(module, BiasFreeNorm):
            module.gammas.data.uniform_(0.2, 1.5, generator=source)
            module.running_sd.uniform_(0.5, 2.0, generator=source)
    return model


@torch.no_grad()
def rounding_bound(model: UNet, y: Tensor, start: float) -> Tensor:
    """Proven bound on the float32 error of every output, for inputs exact to `start` |y|; evaluated in float64.

    A sum of n products is off by at most n u / (1 - n u) times the sum of their magnitudes, in any order (Higham,
    2002, section 3.1); the error that comes in passes through the magnitudes of the weights.
    """

    def gamma(n: int) -> float:
        return n * ROUNDING / (1 - n * ROUNDING)

    def through(layer: nn.Module, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(layer, nn.Sequential):
            for part in layer:
                x, e = through(part, x, e)
            return x, e
        if isinstance(layer, nn.ReLU):
            return x.relu(), e
        if isinstance(layer, BiasFreeNorm):
            factor = (layer.gammas / layer.running_sd).double()  # rounded once, the same for every input
            return x * factor, e * factor.abs() + ROUNDING * (x.abs() + e) * factor.abs()
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        weight = layer.weight.double()
        apply = functional.conv2d if isinstance(layer, nn.Conv2d) else functional.conv_transpose2d
        place: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
        terms = layer.in_channels * (9 if isinstance(layer, nn.Conv2d) else 1)
        size = apply(x.abs() + e, weight.abs(), **place)
        return apply(x, weight, **place), apply(e, weight.abs(), **place) + gamma(terms) * size

    x, e = y.double(), start * y.double().abs()
    skips = []
    for b in range(model.blocks):
        x, e = through(model.encoder[str(b)], x, e)
        skips.append((x, e))
        x, e = (functional.avg_pool2d(t, 2) for t in (x, e + gamma(4) * (x.abs() + e)))
    x, e = through(model.mid_block, x, e)
    for b in reversed(range(model.blocks)):
        x, e = through(model.upsample[str(b)], x, e)
        x, e = (torch.cat(pair, dim=1) for pair in zip((x, e), skips[b], strict=True))
        x, e = through(model.decoder[str(b)], x, e)
    return e


@torch.no_grad()
def scaling_errors(build: Callable[[int], UNet], networks: int = 5) -> dict[str, float]:
    """Additive constants, and the largest error of f(a y) = a f(y) over `networks` and scales of several decades.

    The bound is that of the network as described: `build` may give one that has something added to it.
    """
    constants, exact, relative = 0, 0.0, 0.0
    for seed in range(networks):
        model, described = build(seed), random_network(seed)
        y = torch.randn((2, 1, 20, 20), generator=torch.Generator().manual_seed(1000 + seed)) + 0.5
        constants += sum(p.numel() for name, p in model.named_parameters() if name.endswith("bias"))
        constants += int((model(torch.zeros_like(y)) != 0).sum())
        output, bound = model(y), rounding_bound(described, y, 0.0)
        for power in (-12, -3, 1, 10):
            exact = max(exact, float((model(2.0**power * y) - 2.0**power * output).abs().max()))
        for a in (1e-4, 1e-2, 0.3, 7.0, 1e2, 1e4):
            error = (model((a * y.double()).float()).double() - a * output.double()).abs()
            allowed = rounding_bound(described, a * y.double(), ROUNDING) + a * bound
            relative = max(relative, float((error / allowed).max()))
    return {"additive_constants": constants, "error_for_powers_of_two": exact, "error_over_rounding_bound": relative}


@pytest.mark.claim("T-unet-bias-free")
def test_nothing_is_added(evidence: ClaimRecord) -> None:
    notes = {
        "additive_constants": "bias parameters, and outputs that are not zero for an input of zeros",
        "error_for_powers_of_two": "largest |f(a y) - a f(y)| for a = 2^-12, 2^-3, 2, 2^10",
        "error_over_rounding_bound": "largest |f(a y) - a f(y)| for a = 1e-4 to 1e4, in units of the proven bound",
    }
    for name, value in scaling_errors(random_network).items():
        evidence.add(name, value, kind="property", n=5, seeds="0:5", varies="weights and inputs", note=notes[name])


def in_double(seed: int) -> UNet:
    """The network in float64, its factors gamma / sd rounded to float32 as the float32 network uses them."""
    model = random_network(seed)
    for module in model.modules():
        if isinstance(module, BiasFreeNorm):
            module.gammas.data = module.gammas.data / module.running_sd
            module.running_sd.fill_(1.0)
    return model.double()


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


def published_noise_law(u: np.ndarray) -> np.ndarray:
    """Noise levels of the training code's default, `quadratic_noise`: a uniform root, squared, on the scale of 255."""
    low, high = 0.0, 255.0
    return (u * (high**0.5 - low**0.5) + low**0.5) ** 2 / 255


def distance_from_uniform(law: Callable[[np.ndarray], np.ndarray]) -> float:
    """Largest distance between the distribution functions of law(uniform) and of the uniform law.

    The law rises, so its distribution function at law(u) is u. Taken on a grid of 2^16 intervals.
    """
    u = np.linspace(0, 1, 2**16 + 1)
    return float(np.abs(u - law(u)).max())


def noise_differences(uniform: np.ndarray, quadratic: np.ndarray) -> dict[str, Any]:
    """Output PSNR of the second model minus that of the first, by input PSNR, over the same images."""
    return psnr_differences("quadratic minus uniform", uniform, quadratic, seed=SEED)


def quadratic_job(desk: Desk) -> ModelJob:
    """The largest random half of A with the code's noise law."""
    return desk.variant_job(Cell(RANDOM, desk.sizes[-1], "A"), noise="quadratic")


@pytest.mark.claim("T-noise-uniform")
@pytest.mark.trains(jobs=lambda desk: [quadratic_job(desk)])
def test_the_noise_law(evidence: ClaimRecord, desk: Desk) -> None:
    note = "the code of Kadkhodaie et al. sets quadratic_noise by default: the level is the square of a uniform number"
    evidence.add(
        "distance_of_distribution_functions", distance_from_uniform(published_noise_law), kind="arithmetic", note=note
    )
    uniform, (quadratic,) = desk.model(Cell(RANDOM, desk.sizes[-1], "A")), desk.trained([quadratic_job(desk)])
    images = desk.held_out.images[:CURVE_IMAGES]
    curves = [output_psnr(desk.as_denoiser(result), images, seed=SEED) for result in (uniform, quadratic)]
    for name, (value, interval) in noise_differences(*curves).items():
        evidence.add(name, value, kind="synthetic", n=len(images), interval=interval, unit="dB", varies="image")


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


def on_a_small_network(config: TrainConfig) -> TrainConfig:
    """The same options on a network and a set that take milliseconds."""
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


@pytest.mark.claim("T-optimiser")
def test_the_optimiser(evidence: ClaimRecord) -> None:
    config = preset("paper40").train
    images = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    rates = [row["learning_rate"] for row in train(images, on_a_small_network(config), seed=SEED).history]
    note = "median change of a weight in the first step: Adam moves each by the learning rate, whatever its gradient"
    for name, value in optimiser_figures(rates, config.batch, first_step(config)).items():
        evidence.add(name, value, kind="property", n=len(rates), note=note if name == "first_step" else None)


def published_rates(rate: float = 1e-3, every: int = 100, epochs: int = 1000) -> list[float]:
    """The loop of the published trainer, which halves in place."""
    rates = []
    for epoch in range(epochs):
        if epoch >= every and epoch % every == 0:
            rate = rate / 2
        rates.append(rate)
    return rates


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
    def sgd(parameters: Any, lr: float, fused: bool) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=lr)

    assert judge("T-optimiser", optimiser_figures(published_rates(), 256, first_step(TrainConfig()))) == "refuted"
    monkeypatch.setattr(torch.optim, "Adam", sgd)
    assert judge("T-optimiser", optimiser_figures(published_rates(), 512, first_step(TrainConfig()))) == "refuted"


# --------------------------------------------------------------------------------------------------------- monitoring

MONITORED = TrainConfig(
    image_size=8, base_channels=2, blocks=1, exposures=64, epochs=6, batch=16, halve_every=1, repetition="exact"
)


class Interrupted(Exception):
    """Stands for the loss of the process; the real one, by signal, is among the trainer's own tests."""


def train_monitored(directory: Path, stop_after: int | None = None) -> int:
    """Run a small training; how many of its epochs left a readable state behind them."""
    images = torch.rand((12, 1, 8, 8), generator=torch.Generator().manual_seed(SEED))
    states = 0

    def on_epoch(row: dict[str, Any]) -> None:
        nonlocal states
        index = json.loads((directory / INDEX).read_text())
        read_tensors(directory / index["last"]["file"], sha256=index["last"]["sha256"])
        states += index["last"]["epochs"] == row["epoch"] + 1
        if row["epoch"] + 1 == stop_after:
            raise Interrupted

    train(images, MONITORED, seed=SEED, directory=directory, test_images=images[:4], on_epoch=on_epoch)
    return states


def kept_history(directory: Path) -> list[dict[str, Any]]:
    """The rows of history on disk, without the times."""
    rows = [json.loads(line) for line in (directory / HISTORY).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def missing_records(rows: list[dict[str, Any]], states: int, resumed: list[dict[str, Any]]) -> dict[str, int]:
    """Missing records of a run of six epochs, and in how many rows a run that was stopped and resumed differs."""
    return {
        "missing_losses": MONITORED.epochs - sum("loss" in row and "test_loss" in row for row in rows),
        "missing_psnr": MONITORED.epochs - sum("psnr" in row and "test_psnr" in row for row in rows),
        "missing_checkpoints": MONITORED.epochs - states,
        "differences_after_resuming": sum(a != b for a, b in itertools.zip_longest(rows, resumed)),
    }


def monitored_twice(directory: Path) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
    """Rows and states of an uninterrupted run, and rows of one stopped after two epochs and resumed."""
    states = train_monitored(directory / "whole")
    with pytest.raises(Interrupted):
        train_monitored(directory / "cut", stop_after=2)
    assert train_monitored(directory / "cut") == MONITORED.epochs - 2
    return kept_history(directory / "whole"), states, kept_history(directory / "cut")


def plot_histories(histories: dict[str, History]) -> Figure:
    """Loss and PSNR by epoch, a line a model."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
    for axis, key, name in zip(axes, ("loss", "psnr"), ("loss (squared error an image)", "PSNR (dB)"), strict=True):
        for label, history in histories.items():
            axis.plot([row["epoch"] + 1 for row in history], [row[key] for row in history], ".-", label=label)
        axis.set(xlabel="epoch", ylabel=name)
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


@pytest.mark.claim("T-monitoring")
def test_everything_is_kept(evidence: ClaimRecord, desk: Desk, tmp_path: Path) -> None:
    pair = [Cell("random", desk.sizes[-1], group) for group in GROUPS]
    figures = [evidence.figure("history", plot_histories({str(cell): desk.model(cell).history for cell in pair}))]
    for name, value in missing_records(*monitored_twice(tmp_path)).items():
        evidence.add(name, value, kind="synthetic", n=MONITORED.epochs, varies="epoch", figures=figures)


@pytest.mark.control("T-monitoring", "positive")
def test_two_uninterrupted_runs_are_the_same(judge: Judge, tmp_path: Path) -> None:
    states = [train_monitored(tmp_path / name) for name in "ab"]
    assert (
        judge("T-monitoring", missing_records(kept_history(tmp_path / "a"), states[0], kept_history(tmp_path / "b")))
        == "reproduced"
    )


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

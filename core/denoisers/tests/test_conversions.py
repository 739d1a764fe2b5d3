"""Adapters against diffusers' own schedulers at every timestep, and against the identities that define them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.denoisers import load
from core.denoisers.conversions import Discrete, Flow, Schedule
from core.denoisers.loading.diffusers_folder import calls
from core.denoisers.protocol import Blind, InRange, SigmaDenoiser, Told, checked, in_range, readings_of
from core.denoisers.tests.small_unets import SHAPE, diffusers, saved, small_unet
from core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
OURS = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "v"}
SMALLER: dict[str, Any] = {  # for what calls the network a thousand times
    "sample_size": 8,
    "block_out_channels": (8, 8),
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
}
SCHEDULES = [{}, {"beta_schedule": "scaled_linear"}, {"beta_schedule": "squaredcos_cap_v2"}]


def noisy(alphas_cumprod: Tensor, times: Tensor, side: int = 16) -> Tensor:
    """One image a time, as training mixes it with noise, (t, 1, side, side) float64."""
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand((len(times), 1, side, side), generator=generator, dtype=torch.float64) * 2 - 1
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    left = alphas_cumprod[times].view(-1, 1, 1, 1)
    return left.sqrt() * clean + (1 - left).sqrt() * noise


def diffusers_clean(scheduler: Any, out: Tensor, times: Tensor, x: Tensor) -> Tensor:
    """What diffusers takes for the clean image at each time."""
    steps = [scheduler.step(out[k : k + 1], int(t), x[k : k + 1]).pred_original_sample for k, t in enumerate(times)]
    return torch.cat(steps)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "scaled", "cosine"])
@pytest.mark.parametrize("prediction", OURS)
def test_equals_diffusers_at_every_timestep(prediction: str, schedule: dict[str, str]) -> None:
    scheduler = diffusers.DDPMScheduler(prediction_type=prediction, clip_sample=False, **schedule)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    times, left = torch.arange(1000), scheduler.alphas_cumprod.view(-1, 1, 1, 1)
    x = noisy(scheduler.alphas_cumprod, times, side=8)
    unet = small_unet(**SMALLER).double()
    expected = diffusers_clean(scheduler, unet(x, times).sample, times, x)
    denoiser = Discrete(calls(unet), scheduler.alphas_cumprod, shape=(1, 8, 8), prediction=OURS[prediction])
    found = denoiser(x / left.sqrt(), ((1 - left) / left).sqrt().flatten())
    assert float((found - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("prediction", OURS)
def test_a_saved_pipeline_equals_diffusers_in_single_precision(prediction: str, tmp_path: Path) -> None:
    scheduler = diffusers.DDPMScheduler(prediction_type=prediction, clip_sample=False)
    unet, times = small_unet(), torch.arange(0, 1000, 37)
    denoiser = load(saved(tmp_path, unet, scheduler))
    x = noisy(scheduler.alphas_cumprod.double(), times).float()
    expected = diffusers_clean(scheduler, unet(x, times).sample, times, x)
    left = scheduler.alphas_cumprod[times].double()
    sigma = ((1 - left) / left).sqrt().float()
    found = denoiser(x / left.sqrt().float().view(-1, 1, 1, 1), sigma)
    # both take sigma times a number from an image of the size of sigma, which rounds at its size
    assert float(((found - expected).abs() / (1 + sigma.view(-1, 1, 1, 1))).max()) < 1e-5


def test_diffusers_own_clipping_is_all_that_differs() -> None:
    scheduler = diffusers.DDPMScheduler(clip_sample=True)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    times, left = torch.arange(0, 1000, 53), scheduler.alphas_cumprod[::53].view(-1, 1, 1, 1)
    x, unet = noisy(scheduler.alphas_cumprod, times), small_unet().double()
    expected = diffusers_clean(scheduler, unet(x, times).sample, times, x)
    found = Discrete(calls(unet), scheduler.alphas_cumprod, shape=SHAPE)(
        x / left.sqrt(), ((1 - left) / left).sqrt().flatten()
    )
    assert float(found.abs().max()) > 1.5
    assert torch.allclose(found.clamp(-1, 1), expected, atol=1e-5)


def test_time_is_linear_in_log_sigma_and_whole_at_the_levels_of_training() -> None:
    schedule = Schedule(diffusers.DDPMScheduler().alphas_cumprod)
    assert torch.equal(schedule.time(schedule.sigmas.float()), torch.arange(1000.0, dtype=torch.float64))
    between = (schedule.sigmas[:-1].log() * 0.75 + schedule.sigmas[1:].log() * 0.25).exp()
    assert torch.allclose(schedule.time(between), torch.arange(999, dtype=torch.float64) + 0.25, atol=1e-6)
    assert float(schedule.time(schedule.sigmas[:1] / 10)) == 0


def test_a_schedule_that_ends_without_signal_loses_its_last_time() -> None:
    scheduler = diffusers.DDPMScheduler(rescale_betas_zero_snr=True)
    assert float(scheduler.alphas_cumprod[-1]) == 0
    assert len(Schedule(scheduler.alphas_cumprod).sigmas) == 999


@pytest.mark.parametrize("wrong", [[0.9], [0.5, 0.9], [1.0, 0.5], [0.9, -0.1], [0.9, float("nan")]])
def test_what_is_no_schedule_is_refused(wrong: list[float]) -> None:
    with pytest.raises(InputError, match="alphas_cumprod"):
        Schedule(torch.tensor(wrong))


def ideal(x: Tensor, sigma: Tensor) -> Tensor:
    """The denoiser of N(0.3, 0.2^2) in every pixel."""
    level = sigma.view(-1, 1, 1, 1)
    return 0.3 + 0.04 / (0.04 + level.square()) * (x - 0.3)


def velocity(point: Tensor, time: Tensor) -> Tensor:
    """What flow matching learns of the same density: E[n - x0 | point] by its own route."""
    t = time.view(-1, 1, 1, 1)
    variance = (1 - t).square() * 0.04 + t.square()
    centred = point - (1 - t) * 0.3
    return t * centred / variance - (0.3 + (1 - t) * 0.04 * centred / variance)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_flow_matching_gives_the_denoiser_of_the_same_density(scale: float) -> None:
    flow = Flow(lambda x, t: velocity(x, t / scale), shape=SHAPE, data_range=(0.0, 1.0), time_scale=scale)
    sigma = torch.tensor([0.01, 0.3, 1.0, 40.0], dtype=torch.float64)
    x = 0.3 + (0.04 + sigma.square()).sqrt().view(-1, 1, 1, 1) * torch.randn(4, *SHAPE, dtype=torch.float64)
    assert torch.allclose(flow(x, sigma), ideal(x, sigma), atol=1e-9)
    turned = Flow(lambda x, t: -velocity(x, 1 - t / scale), shape=SHAPE, data_range=(0.0, 1.0), time_scale=scale)
    (reading,) = readings_of(turned).values()
    assert torch.allclose(reading(x, sigma), ideal(x, sigma), atol=1e-9)


def test_another_range_is_the_same_function() -> None:
    own = Told(ideal, shape=SHAPE, data_range=(0.0, 1.0), sigma_min=0.01, sigma_max=2.0)
    seen = in_range(own, (-1.0, 1.0))
    assert (seen.data_range, seen.sigma_min, seen.sigma_max) == ((-1.0, 1.0), 0.02, 4.0)
    x, sigma = torch.rand(3, *SHAPE), torch.tensor([0.1, 0.5, 2.0])
    assert torch.allclose(seen(2 * x - 1, 2 * sigma), 2 * own(x, sigma) - 1, atol=1e-6)
    assert in_range(own, (0.0, 1.0)) is own and isinstance(seen, InRange)


def test_a_blind_network_passes_the_level_over() -> None:
    blind = Blind(lambda y: 0.5 * y, shape=SHAPE)
    assert isinstance(blind, SigmaDenoiser)
    assert torch.equal(blind(torch.ones(2, *SHAPE), torch.tensor([0.1, 0.9])), torch.full((2, *SHAPE), 0.5))


@pytest.mark.parametrize(
    ("x", "sigma", "named"),
    [
        (torch.zeros(2, 1, 8, 8), torch.ones(2), "x: got"),
        (torch.zeros(2, *SHAPE, dtype=torch.int64), torch.ones(2), "x: got"),
        (torch.zeros(2, *SHAPE), torch.ones(3), "sigma: got shape"),
        (torch.zeros(2, *SHAPE), torch.tensor([0.5, 1.1]), "at most 1"),
        (torch.zeros(2, *SHAPE), torch.tensor([0.5, 0.0]), "above 0"),
        (torch.zeros(2, *SHAPE), torch.tensor([0.5, float("nan")]), "above 0"),
    ],
)
def test_what_a_denoiser_cannot_take_is_named(x: Tensor, sigma: Tensor, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Blind(lambda y: y, shape=SHAPE)(x, sigma)


def test_a_network_that_changes_the_shape_is_named() -> None:
    with pytest.raises(InputError, match="gave shape"):
        Blind(lambda y: y[:, :, :8], shape=SHAPE)(torch.zeros(1, *SHAPE), torch.ones(1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"shape": (16, 16)}, "shape"),
        ({"data_range": (1, 0)}, "data_range"),
        ({"sigma_min": 2.0}, "sigma_min"),
        ({"sigma_max": float("inf")}, "sigma_max"),
    ],
)
def test_what_a_denoiser_cannot_be_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Blind(lambda y: y, **{"shape": SHAPE} | changes)  # type: ignore[arg-type]


def test_an_object_without_the_attributes_is_named() -> None:
    with pytest.raises(InputError, match="mine: gives a function without shape, data_range, sigma_min, sigma_max"):
        checked(ideal, "mine")

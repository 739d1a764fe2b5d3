"""Samplers against diffusers' own loops and exact solutions; a seed's image, whatever is sampled beside it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.denoisers import load
from core.denoisers.conversions import Discrete
from core.denoisers.loading.diffusers_folder import calls
from core.denoisers.protocol import SigmaDenoiser, Told
from core.denoisers.samplers import SAMPLERS, generate, sample_ddim, sample_dpm_solver, sample_heun
from core.denoisers.sampling import falling_levels, heun, noises
from core.denoisers.tests.small_unets import SHAPE, diffusers, saved, small_unet
from core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = falling_levels(20.0, 0.02, 18)


def told(function: Callable[[Tensor, Tensor], Tensor], sigma_max: float = 100.0) -> Told:
    return Told(function, shape=SHAPE, data_range=(-1.0, 1.0), sigma_min=0.001, sigma_max=sigma_max)


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """The denoiser of N(0.3, 0.5^2) in every pixel."""
    return 0.3 + 0.25 / (0.25 + sigma.view(-1, 1, 1, 1).square()) * (x - 0.3)


def network() -> SigmaDenoiser:
    unet = small_unet().double()
    return Discrete(calls(unet), diffusers.DDPMScheduler().alphas_cumprod, shape=SHAPE)


def diffusers_loop(scheduler: Any, denoiser: SigmaDenoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """A scheduler of diffusers run over given levels, handed the noise that the denoiser sees."""
    scheduler.set_timesteps(len(sigmas))
    levels = torch.tensor([*sigmas, 0.0], dtype=torch.float64)
    twice = torch.cat([levels[:1], levels[1:-1].repeat_interleave(2), levels[-1:]])  # Heun's visits each twice
    scheduler.sigmas = twice if isinstance(scheduler, diffusers.HeunDiscreteScheduler) else levels
    times = torch.arange(len(scheduler.sigmas) - 1, dtype=torch.float64)
    scheduler.timesteps = times
    for k, t in enumerate(times):
        scheduler._step_index = scheduler._step_index if k else 0
        sigma = scheduler.sigmas[scheduler._step_index].expand(len(x))
        x = scheduler.step((x - denoiser(x, sigma)) / sigma.view(-1, 1, 1, 1), t, x).prev_sample
    return x


def test_heun_equals_diffusers() -> None:
    denoiser, x = network(), LEVELS[0] * noises(range(3), SHAPE).double()
    expected = diffusers_loop(diffusers.HeunDiscreteScheduler(), denoiser, x, LEVELS)
    assert float((sample_heun(denoiser, x, LEVELS) - expected).abs().max()) < 1e-5


def test_dpm_solver_equals_diffusers() -> None:
    denoiser, x = network(), LEVELS[0] * noises(range(3), SHAPE).double()
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(
        sigma_min=LEVELS[-1], sigma_max=LEVELS[0], sigma_data=1.0, solver_order=2, final_sigmas_type="zero"
    )
    scheduler.set_timesteps(len(LEVELS))
    scheduler.sigmas = torch.tensor([*LEVELS, 0.0], dtype=torch.float64)
    scheduler.precondition_outputs = lambda sample, out, sigma: out  # it is handed the clean image
    expected = x
    for k, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[k].expand(len(x))
        expected = scheduler.step(denoiser(expected, sigma), t, expected).prev_sample
    assert float((sample_dpm_solver(denoiser, x, LEVELS) - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("steps", [10, 50])
def test_ddim_equals_diffusers_with_eta_0(steps: int, prediction: str) -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type=prediction)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    unet = small_unet().double()
    start = noises(range(2), SHAPE).double()
    expected = start
    for t in scheduler.timesteps:
        expected = scheduler.step(unet(expected, t).sample, t, expected, eta=0.0).prev_sample
    ours = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "v"}[prediction]
    denoiser = Discrete(calls(unet), scheduler.alphas_cumprod, shape=SHAPE, prediction=ours)
    left = scheduler.alphas_cumprod[scheduler.timesteps]
    found = sample_ddim(denoiser, start / left[0].sqrt(), ((1 - left) / left).sqrt().tolist())
    assert float((found - expected).abs().max()) < 1e-5


def test_heun_of_a_blind_network_is_the_sampler_that_there_was() -> None:
    def blind(y: Tensor) -> Tensor:
        return 0.3 + 0.8 * torch.tanh(y - 0.3)

    levels = falling_levels(1.0, 0.05, 12)
    before = heun(blind, [4, 9], torch.full(SHAPE, 0.5), sigmas=levels).images
    after = generate(told(lambda x, sigma: blind(x)), [4, 9], sigmas=levels, centre=0.5)
    assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpm-solver++", 2)])
def test_the_error_falls_with_the_order_of_the_method(name: str, order: int) -> None:
    x = noises(range(2), SHAPE).double() * 20
    spread = math.sqrt((0.25 + 1e-4) / (0.25 + 400)) * 0.25 / (0.25 + 1e-4)  # the exact flow to 0.01, denoised there
    exact = 0.3 + (x - 0.3) * spread
    errors = []
    for steps in (40, 80):
        found = SAMPLERS[name](told(gaussian), x, falling_levels(20.0, 0.01, steps))
        errors.append(float((found - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.25)


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=3, deadline=None)
@given(order=st.lists(st.integers(0, 9), min_size=1, max_size=7, unique=True))
def test_an_image_does_not_depend_on_its_batch(name: str, order: list[int]) -> None:
    denoiser = Discrete(calls(UNET), ALPHAS, shape=SHAPE)
    levels = falling_levels(10.0, 0.1, 4)
    everything = generate(denoiser, range(10), sampler=name, sigmas=levels, batch=4)
    some = generate(denoiser, order, sampler=name, sigmas=levels, batch=4)
    assert torch.equal(some, everything[order])


UNET, ALPHAS = small_unet(), diffusers.DDPMScheduler().alphas_cumprod


def test_a_seed_is_the_noise_of_its_own_generator() -> None:
    alone = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    assert torch.equal(noises([3, 7], SHAPE)[1], alone)
    kept: list[Tensor] = []

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        kept.append(x.clone())
        return x

    generate(told(watched), [3, 7], sigmas=[5.0, 1.0], batch=2)
    assert torch.equal(kept[0][1], 5.0 * alone)


def test_noise_is_centred_where_asked(tmp_path: Path) -> None:
    image = torch.rand(SHAPE)
    one_step = generate(told(lambda x, sigma: x), [1], sigmas=[0.5], centre=image)
    assert torch.allclose(one_step[0], image + 0.5 * noises([1], SHAPE)[0])


def test_a_saved_pipeline_is_sampled_from_its_own_levels(tmp_path: Path) -> None:
    denoiser = load(saved(tmp_path, small_unet(), diffusers.DDPMScheduler()))
    told_: list[tuple[int, int]] = []
    images = generate(denoiser, range(3), sampler="ddim", batch=2, progress=lambda *done: told_.append(done))
    assert images.shape == (3, *SHAPE) and bool(images.isfinite().all()) and told_ == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sampler": "euler"}, "sampler"),
        ({"seeds": []}, "seeds"),
        ({"sigmas": []}, "sigmas"),
        ({"sigmas": [1.0, 1.0]}, "fall"),
        ({"sigmas": [1.0, 0.0]}, "positive"),
        ({"sigmas": [200.0, 1.0]}, "at most 100"),
    ],
)
def test_bad_options_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        generate(told(gaussian), **{"seeds": [1]} | changes)

"""The samplers against the published loop, exact solutions, and each other; images that do not see their batch."""

import inspect
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.denoisers.sampling import heun, in_chunks, probability_flow, sample, start_mean, starts
from core.denoisers.unet import Denoiser, UNet
from core.errors import InputError
from core.training.config import SampleConfig

SHAPE = (1, 8, 8)
TEMPLATES = torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(5))
MEAN = TEMPLATES.mean(dim=0)


def mixture(y: Tensor) -> Tensor:
    """A blind denoiser that pulls towards three templates, each image by its own distances."""
    distance = (y[:, None] - TEMPLATES.to(y.dtype)).flatten(2).square().mean(dim=2)
    weight = torch.softmax(-distance / distance.min(dim=1, keepdim=True).values / 0.05, dim=1)
    return (weight[:, :, None, None, None] * TEMPLATES.to(y.dtype)).sum(dim=1)


def convolutional(channels_last: bool = False) -> Denoiser:
    """The same with a network on top, so that the last bits depend on how convolutions are computed."""
    model = UNet(16, 2, generator=torch.Generator().manual_seed(0)).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 4 and parameter.shape[0] == 1 and parameter.shape[2] == 1:
            parameter.fill_(1.0)  # gammas: outputs of the size of the input
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return lambda y: mixture(y) + 0.03 * torch.tanh(model(y))


def published(denoiser: Denoiser, seed: int, mean: Tensor, h0: float, beta: float, end: float) -> tuple[Tensor, int]:
    """The published loop for one image, in its own order of operations; noise from the global stream."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y = torch.normal(mean, 1.0).unsqueeze(0)
        n = mean.numel()
        f = y - denoiser(y)
        sigma = torch.norm(f) / math.sqrt(n)
        t = 1
        while sigma > end:
            h = h0 * t / (1 + (h0 * (t - 1)))
            f = y - denoiser(y)
            sigma = torch.norm(f) / math.sqrt(n)
            gamma = sigma * math.sqrt((1 - beta * h) ** 2 - (1 - h) ** 2)
            y = y - h * f + gamma * torch.randn(mean.shape)
            t += 1
        return denoiser(y)[0], t - 1


@pytest.mark.parametrize(("h0", "beta", "end"), [(0.01, 0.1, 0.1), (0.05, 0.5, 0.03), (0.02, 1.0, 0.1)])
def test_equals_the_published_loop(h0: float, beta: float, end: float) -> None:
    seeds = [3, 0, 41]
    found = sample(mixture, seeds, MEAN, h0=h0, beta=beta, sigma_end=end)
    for k, seed in enumerate(seeds):
        image, steps = published(mixture, seed, MEAN, h0, beta, end)
        assert found.steps[k] == steps
        assert torch.allclose(found.images[k], image, atol=1e-4)
    assert found.converged.all() and found.seeds == (3, 0, 41)
    assert len(set(found.steps.tolist())) > 1 or beta == 1.0


def test_defaults_are_the_published_constants() -> None:
    defaults = {name: p.default for name, p in inspect.signature(sample).parameters.items()}
    assert SampleConfig().to_dict().items() <= defaults.items()
    assert (defaults["h0"], defaults["beta"], defaults["sigma_0"], defaults["sigma_end"]) == (0.01, 0.1, 1.0, 0.1)


SAMPLERS: dict[str, Callable[..., object]] = {
    "ascent": lambda d, s, chunk: sample(d, s, MEAN, h0=0.1, chunk=chunk),
    "flow": lambda d, s, chunk: probability_flow(d, s, MEAN, step=0.2, chunk=chunk),
    "euler": lambda d, s, chunk: heun(d, s, MEAN, sigmas=(1.0, 0.5, 0.2, 0.1), order=1, chunk=chunk),
    "heun": lambda d, s, chunk: heun(d, s, MEAN, sigmas=(1.0, 0.5, 0.2, 0.1), chunk=chunk),
}


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=4, deadline=None)
@given(order=st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True), channels_last=st.booleans())
def test_an_image_does_not_depend_on_its_batch(name: str, order: list[int], channels_last: bool) -> None:
    denoiser = convolutional(channels_last)
    everything = SAMPLERS[name](denoiser, list(range(12)), 4)
    some = SAMPLERS[name](denoiser, order, 4)
    for field in ("images", "steps", "sigmas", "converged"):
        assert torch.equal(getattr(some, field), getattr(everything, field)[order]), field


def test_the_denoiser_sees_one_shape_only() -> None:
    shapes = set()

    def watched(y: Tensor) -> Tensor:
        shapes.add(tuple(y.shape))
        return mixture(y)

    sample(watched, range(7), MEAN, h0=0.1, chunk=3)
    assert shapes == {(3, *SHAPE)}


@pytest.mark.parametrize(("device", "seen"), [("cpu", [32, 32]), ("meta", [40])])
def test_an_accelerator_sees_all_images_at_once_and_a_cpu_batches_of_one_shape(device: str, seen: list[int]) -> None:
    sizes: list[int] = []

    def denoiser(y: Tensor) -> Tensor:
        sizes.append(len(y))
        return 0.5 * y

    f, sigma = in_chunks(denoiser)(torch.ones(40, 1, 4, 4, device=device))
    assert sizes == seen and f.shape == (40, 1, 4, 4) and sigma.shape == (40, 1, 1, 1)


def test_chunks_give_the_residual_and_its_level() -> None:
    y = torch.randn(7, *SHAPE)
    f, sigma = in_chunks(mixture, 3)(y)
    assert torch.allclose(f, y - mixture(y))
    assert torch.allclose(sigma.flatten(), f.flatten(1).norm(dim=1) / 8)


def test_a_seed_is_the_same_noise_everywhere() -> None:
    y, _ = starts([7], MEAN, 0.5)
    assert torch.equal(y[0], MEAN + 0.5 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(7)))


def test_a_start_below_the_last_level_takes_no_step() -> None:
    found = sample(mixture, range(3), TEMPLATES[0], sigma_0=0.01)
    assert found.steps.tolist() == [0, 0, 0] and found.converged.all()


def test_steps_can_run_out() -> None:
    found = sample(mixture, range(3), MEAN, max_steps=5)
    assert found.steps.tolist() == [5, 5, 5] and not found.converged.any()


@pytest.mark.parametrize("bad", [float("nan"), 50.0])
def test_an_image_that_diverges_is_told_and_leaves_the_others_alone(bad: float) -> None:
    fine = sample(mixture, range(4), MEAN, h0=0.1)

    def broken(y: Tensor) -> Tensor:  # breaks on the image that starts from seed 2
        marked = (y - starts([2], MEAN, 1.0)[0]).flatten(1).norm(dim=1) < 1e-6
        return torch.where(marked.view(-1, 1, 1, 1), torch.full_like(y, bad), mixture(y))

    found = sample(broken, range(4), MEAN, h0=0.1)
    assert found.converged.tolist() == [True, True, False, True]
    assert found.steps[2] == 1
    assert torch.equal(found.images[[0, 1, 3]], fine.images[[0, 1, 3]])


def test_trajectories_end_where_sampling_ended() -> None:
    found = sample(mixture, range(3), MEAN, h0=0.1, keep_every=1)
    for k, path in enumerate(found.trajectories):
        assert len(path) == found.steps[k] + 1
        assert torch.equal(path[0], starts([k], MEAN, 1.0)[0][0])
        assert torch.allclose(mixture(path[-1][None])[0], found.images[k])
    every_third = sample(mixture, range(3), MEAN, h0=0.1, keep_every=3)
    assert torch.equal(every_third.trajectories[1], found.trajectories[1][::3])
    assert sample(mixture, range(3), MEAN, h0=0.1).trajectories == ()


def test_progress_counts_finished_images() -> None:
    seen: list[tuple[int, int]] = []
    sample(mixture, range(3), MEAN, h0=0.1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3) and [done for done, _ in seen] == sorted(done for done, _ in seen)


# A Gaussian of deviation s: with r the root mean square of y - mean, r^2 - s^2 falls as sigma^2 along the flow

S = 0.3


def gaussian(y: Tensor) -> Tensor:
    centred = y - MEAN.to(y.dtype)
    return MEAN.to(y.dtype) + centred * S**2 / centred.square().mean(dim=(1, 2, 3), keepdim=True)


def exact(y: Tensor, ratio: float) -> Tensor:
    """The last denoising of the exact flow that shrinks the noise level by `ratio`."""
    centred = y - MEAN.to(y.dtype)
    r = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return gaussian(MEAN.to(y.dtype) + centred * (S**2 + (r**2 - S**2) * ratio**2).sqrt() / r)


@pytest.mark.parametrize(("order", "gain"), [(1, 2.0), (2, 4.0)])
def test_euler_and_heun_have_their_order(order: int, gain: float) -> None:
    mean = MEAN.double()
    y, _ = starts(range(5), mean, 1.0)
    errors = []
    for count in (20, 40, 80):
        sigmas = [0.1 ** (k / count) for k in range(count + 1)]
        found = heun(gaussian, range(5), mean, sigmas=sigmas, order=order)
        errors.append((found.images - exact(y, 0.1)).abs().max().item())
    assert errors[0] / errors[1] == pytest.approx(gain, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(gain, rel=0.1)


def test_the_probability_flow_follows_the_exact_one() -> None:
    mean = MEAN.double()
    y, _ = starts(range(5), mean, 1.0)
    centred = (y - mean) / (y - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    r = (0.1 + math.sqrt(0.1**2 + 4 * S**2)) / 2  # where r - S^2 / r = 0.1
    expected = mean + centred * S**2 / r
    errors = [
        (probability_flow(gaussian, range(5), mean, step=step).images - expected).abs().max().item()
        for step in (0.1, 0.01)
    ]
    assert errors[1] < 0.01 and errors[1] < errors[0] / 3


def test_without_added_noise_the_ascent_is_a_probability_flow() -> None:
    flow = probability_flow(gaussian, range(5), MEAN, step=0.001)
    errors = [
        (sample(gaussian, range(5), MEAN, h0=h0, beta=1.0).images - flow.images).abs().max().item()
        for h0 in (0.01, 0.0001)  # the last steps are about 0.2 and 0.02 long
    ]
    assert errors[1] < errors[0] / 4 and errors[1] < 0.02


def test_all_samplers_reach_a_single_image() -> None:
    for sampler in (sample, probability_flow, heun):
        found = sampler(lambda y: TEMPLATES[:1].expand_as(y), range(3), MEAN)
        assert torch.allclose(found.images, TEMPLATES[:1].expand_as(found.images), atol=1e-6)
        assert found.converged.all()


def test_the_other_samplers_are_short() -> None:
    for function in (probability_flow, heun):
        assert len(inspect.getsource(function).splitlines()) <= 40, function.__name__


# Starts


def test_start_means() -> None:
    group, everything = TEMPLATES[:2], TEMPLATES
    assert torch.allclose(start_mean("group", group, everything), group.mean(dim=0))
    assert torch.allclose(start_mean("shared", group, everything), everything.mean(dim=0))
    assert torch.equal(start_mean("none", group), torch.zeros(SHAPE))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: start_mean("middle", TEMPLATES), "start: got 'middle'"),
        (lambda: start_mean("shared", TEMPLATES), "start: got 'shared'"),
        (lambda: sample(mixture, [], MEAN), "seeds: got none"),
        (lambda: sample(mixture, [0], TEMPLATES), r"mean: got \(3, 1, 8, 8\)"),
        (lambda: sample(mixture, [0], MEAN.int()), r"mean: got .* torch.int32"),
        (lambda: heun(mixture, [0], MEAN, order=3), "order 3"),
        (lambda: heun(mixture, [0], MEAN, sigmas=[0.1, 1.0]), "expected order 1 or 2 and falling"),
        (lambda: heun(mixture, [0], MEAN, sigmas=[1.0, 0.0]), "positive levels"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()

"""The admission test: an optimal denoiser passes in every form, and what it is wrongly taken for is named."""

import pytest
import torch
from torch import Tensor

from core.denoisers.admission import LEVELS, admit
from core.denoisers.conversions import Discrete, Flow
from core.denoisers.oracles import Gaussian
from core.denoisers.protocol import Blind, Range, SigmaDenoiser, Told, in_range
from core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = (1, 6, 6)
ALPHAS = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)
BASIS = torch.rand((4, 36), generator=torch.Generator().manual_seed(0))


def images(n: int = 600) -> Tensor:
    """Convex combinations of four pictures with a little texture, in [0, 1]."""
    stream = torch.Generator().manual_seed(1)
    weights = torch.softmax(3 * torch.randn((n, 4), generator=stream), dim=1)
    return (weights @ BASIS * 0.9 + 0.1 * torch.rand((n, 36), generator=stream)).reshape(n, *SHAPE)


IMAGES = images()


def optimum(data_range: Range) -> Told:
    """Wiener's filter of all images, in a range of its own: the best of its kind, so just good enough."""
    low, high = data_range
    wiener = Gaussian.from_images(low + (high - low) * IMAGES)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat([wiener.denoise(y[None], float(s)) for y, s in zip(x, sigma, strict=True)]).to(x.dtype)

    width = high - low
    return Told(denoise, shape=SHAPE, data_range=data_range, sigma_min=0.01 * width, sigma_max=90 * width)


def predicting(prediction: str, read_as: str, data_range: Range = (-1.0, 1.0)) -> Discrete:
    """The optimum as a network with one prediction, taken for another."""
    clean = optimum((-1.0, 1.0))

    def network(x: Tensor, time: Tensor) -> Tensor:
        left = ALPHAS[time.round().long()].view(-1, 1, 1, 1).to(x.dtype)
        sigma = ((1 - left) / left).sqrt()
        x0 = clean(x / left.sqrt(), sigma.flatten())
        noise = (x - left.sqrt() * x0) / (1 - left).sqrt()
        return {"sample": x0, "epsilon": noise, "v": left.sqrt() * noise - (1 - left).sqrt() * x0}[prediction]

    return Discrete(network, ALPHAS, shape=SHAPE, prediction=read_as, data_range=data_range)


@pytest.mark.parametrize("data_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_the_optimum_passes_in_every_range(data_range: Range) -> None:
    result = admit(optimum(data_range), IMAGES)
    assert result.passed and len(result.levels) == LEVELS
    assert all(level.error <= 1.05 * level.wiener for level in result.levels)
    result.require("it")
    assert admit(in_range(optimum(data_range), (0.0, 1.0)), IMAGES).passed


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v"])
@pytest.mark.parametrize("read_as", ["epsilon", "sample", "v"])
def test_a_wrong_prediction_is_refused_and_the_right_one_named(prediction: str, read_as: str) -> None:
    result = admit(predicting(prediction, read_as), IMAGES)
    assert result.passed == (prediction == read_as)
    assert result.fits == (() if result.passed else (f"reads as {prediction}-prediction",))


@pytest.mark.parametrize(("own", "said"), [((0.0, 1.0), (-1.0, 1.0)), ((-1.0, 1.0), (0.0, 1.0))])
def test_a_wrong_range_is_refused_and_the_right_one_named(own: Range, said: Range) -> None:
    right = optimum(own)
    wrong = Told(right.denoise, shape=SHAPE, data_range=said, sigma_min=right.sigma_min, sigma_max=right.sigma_max)
    result = admit(wrong, IMAGES)
    assert result.fits == (f"range looks like [{own[0]:g}, {own[1]:g}]",)
    with pytest.raises(InputError, match=r"mine: .*linear filter.*; it range looks like"):
        result.require("mine")


def test_both_at_once_are_named() -> None:
    result = admit(predicting("v", "epsilon", data_range=(0.0, 1.0)), IMAGES)
    assert result.fits == ("reads as v-prediction", "range looks like [-1, 1]")


def test_a_function_that_gives_the_noise_is_named() -> None:
    right = optimum((0.0, 1.0))
    noise = Told(
        lambda x, sigma: (x - right(x, sigma)) / sigma.view(-1, 1, 1, 1),
        shape=SHAPE,
        data_range=(0.0, 1.0),
        sigma_min=0.01,
        sigma_max=2.0,
    )
    assert admit(noise, IMAGES).fits == ("reads as the noise in units of sigma (epsilon)",)
    residual = Blind(lambda y: y - right(y, torch.full((len(y),), 0.3)), shape=SHAPE, sigma_min=0.25, sigma_max=0.4)
    assert admit(residual, IMAGES).fits == ("reads as the noise, x - x0",)


def test_a_line_walked_the_other_way_is_named() -> None:
    clean = optimum((-1.0, 1.0))

    def velocity(point: Tensor, time: Tensor) -> Tensor:
        t = time.view(-1, 1, 1, 1)
        x0 = clean(point / t, (1 - time) / time)
        return x0 - (point - t * x0) / (1 - t)

    flow = Flow(velocity, shape=SHAPE, t_min=0.02, t_max=0.98)
    assert admit(flow, IMAGES).fits == ("reads as flow matching with the data at t = 1",)


def bad(kind: str) -> SigmaDenoiser:
    right = optimum((0.0, 1.0))
    functions = {
        "nothing": lambda x, sigma: torch.zeros_like(x),
        "the input": lambda x, sigma: x,
        "not finite": lambda x, sigma: right(x, sigma) / (sigma.view(-1, 1, 1, 1) < 0.5),
        "mirrored": lambda x, sigma: right(x, sigma).flip(-1),
    }
    return Told(functions[kind], shape=SHAPE, data_range=(0.0, 1.0), sigma_min=0.01, sigma_max=2.0)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("nothing", "changes its input by"),
        ("the input", "errs by"),
        ("not finite", "gives values that are not finite"),
        ("mirrored", "changes its input by"),
    ],
)
def test_what_no_reading_explains_is_refused(kind: str, why: str) -> None:
    result = admit(bad(kind), IMAGES)
    assert not result.passed and result.fits == ()
    with pytest.raises(InputError, match=f"mine: {why}.*no other reading"):
        result.require("mine")


def test_levels_that_end_below_the_images_are_refused() -> None:
    low = Told(lambda x, sigma: x, shape=SHAPE, data_range=(0.0, 1.0), sigma_min=0.001, sigma_max=0.02)
    with pytest.raises(InputError, match=r"know noise up to 0.02 only"):
        admit(low, IMAGES).require("mine")


def test_a_memoriser_passes_on_its_own_images() -> None:
    own = IMAGES[:6]

    def nearest(x: Tensor, sigma: Tensor) -> Tensor:
        distance = (x[:, None] - own).flatten(2).square().sum(2)
        weights = torch.softmax(-distance / (2 * sigma.square()[:, None]), dim=1)
        return (weights @ own.flatten(1)).reshape(x.shape)

    assert admit(Told(nearest, shape=SHAPE, data_range=(0.0, 1.0), sigma_min=0.01, sigma_max=2.0), own).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (IMAGES * 2 - 1, r"values from -.* expected \[0, 1\]; their range looks like \[-1, 1\]"),
        (IMAGES * 255, r"their range looks like \[0, 255\]"),
        (IMAGES[:, :, :4], "are of shape"),
        (IMAGES[:1], "at least two"),
        ((IMAGES * 255).to(torch.uint8), "expected at least two as floats"),
        (IMAGES / 0, "values from"),
    ],
)
def test_images_that_do_not_fit_are_named(wrong: Tensor, named: str) -> None:
    with pytest.raises(InputError, match=named):
        admit(optimum((0.0, 1.0)), wrong)

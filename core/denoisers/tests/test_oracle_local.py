"""Local posterior means against their definitions in a few lines, and what must hold of them."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.denoisers.oracles import Composite, Empirical, Gaussian, Local, Patchwise, WienerLocal
from core.denoisers.sampling import heun, sample
from core.denoisers.tests.test_oracle_mutants import slipped
from core.errors import InputError
from core.metrics.prediction import prediction

C, H, W, N = 2, 5, 6, 9
EXACT = 1e-10


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise(like: Tensor, seed: int = 1) -> Tensor:
    return torch.randn(like.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


IMAGES = draw(N, C, H, W)
NOISY = IMAGES[:3] + 0.3 * noise(IMAGES[:3])


# --- definitions -----------------------------------------------------------------------------------------------


def weighted(y: Tensor, x: Tensor, values: Tensor, sigma: float) -> Tensor:
    """Mean of values (k, o) by how near x (k, m) are to y (m,)."""
    return (-(x - y).square().sum(1) / (2 * sigma**2)).softmax(0) @ values


def around(i: int, end: int, reach: int) -> tuple[int, int]:
    return max(0, i - reach), min(end, i + reach + 1)


def local_by_definition(y: Tensor, sigma: float, side: int, anywhere: bool) -> Tensor:
    found, reach = torch.empty_like(y), side // 2
    for i, j in itertools.product(range(H), range(W)):
        (top, bottom), (left, right) = around(i, H, reach), around(j, W, reach)
        cut, x, values = (i - top, bottom - i, j - left, right - j), [], []
        for k, m in itertools.product(range(H), range(W)) if anywhere else [(i, j)]:
            (t, b), (s, r) = around(k, H, reach), around(m, W, reach)
            if (k - t, b - k, m - s, r - m) == cut:
                x.append(IMAGES[:, :, t:b, s:r].flatten(1))
                values.append(IMAGES[:, :, k, m])
        for n in range(len(y)):
            mine = y[n, :, top:bottom, left:right].flatten()
            found[n, :, i, j] = weighted(mine, torch.cat(x), torch.cat(values), sigma)
    return found


def composite_by_definition(y: Tensor, sigma: float, side: int) -> Tensor:
    total, count = torch.zeros_like(y), torch.zeros(H, W)
    for i, j in itertools.product(range(H - side + 1), range(W - side + 1)):
        where = (slice(None), slice(i, i + side), slice(j, j + side))
        x = IMAGES[(slice(None), *where)].flatten(1)
        count[where[1:]] += 1
        for n in range(len(y)):
            total[n][where] += weighted(y[n][where].flatten(), x, x, sigma).reshape(C, side, side)
    return total / count


def wiener_by_definition(y: Tensor, sigma: float, threshold: float) -> Tensor:
    x = IMAGES.flatten(1)
    covariance = torch.cov(x.T, correction=0)
    gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(C * H * W, dtype=torch.float64))
    relative = (gain / gain.diagonal()[:, None]).abs()
    masks, found = relative >= threshold * relative.max(), torch.empty_like(y.flatten(1))
    for p, n in itertools.product(range(C * H * W), range(len(y))):
        mask = masks[:, p]
        found[n, p] = weighted(y.flatten(1)[n, mask], x[:, mask], x[:, p : p + 1], sigma)[0]
    return found.reshape(y.shape)


CASES: dict[str, tuple[Callable[..., Patchwise], Callable[[Tensor, float], Tensor]]] = {
    "pixel": (lambda **k: Local(IMAGES, 1, **k), lambda y, s: local_by_definition(y, s, 1, False)),
    "local": (lambda **k: Local(IMAGES, 3, **k), lambda y, s: local_by_definition(y, s, 3, False)),
    "anywhere": (
        lambda **k: Local(IMAGES, 3, anywhere=True, **k),
        lambda y, s: local_by_definition(y, s, 3, True),
    ),
    "anywhere, wide": (
        lambda **k: Local(IMAGES, 5, anywhere=True, **k),
        lambda y, s: local_by_definition(y, s, 5, True),
    ),
    "composite": (lambda **k: Composite(IMAGES, 3, **k), lambda y, s: composite_by_definition(y, s, 3)),
    "wiener": (
        lambda **k: WienerLocal(IMAGES, [0.1, 0.3, 1.0], threshold=0.3, **k),
        lambda y, s: wiener_by_definition(y, s, 0.3),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0])
def test_each_is_its_definition(name: str, sigma: float) -> None:
    make, definition = CASES[name]
    wanted = definition(NOISY, sigma)
    for memory in (1, 20_000, "256MB"):
        found = make(dtype=torch.float64, memory=memory).denoise(NOISY, sigma)
        torch.testing.assert_close(found, wanted, rtol=0, atol=EXACT)
    single = make().denoise(NOISY.float(), sigma)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), wanted, rtol=0, atol=1e-4)


SLIPS: list[tuple[type, str, str, str, str]] = [
    # class, method, what stands there, the slip, a case that must see it
    (Patchwise, "__init__", "float(rows.mean())", "rows.mean(dim=0)", "anywhere"),
    (Patchwise, "_posterior_mean", "1 / sigmas.square()", "2 / sigmas.square()", "local"),
    (Patchwise, "_posterior_mean", "total * (top - higher).exp()", "total", "local"),
    (Patchwise, "_candidates", ".sum(dim=0, keepdim=True) / 2", ".sum(dim=0, keepdim=True)", "wiener"),
    (Patchwise, "_candidates", ".transpose(1, 2)", ".roll(1, 1).transpose(1, 2)", "anywhere"),
    (Patchwise, "_composite", "total / count", "total / count.max()", "composite"),
    (Local, "_parts", "if self.anywhere", "if not self.anywhere", "anywhere"),
    (Local, "_stacked", "i + reach + 1", "i + reach", "local"),
    (Composite, "_parts", "range(w - side + 1)", "range(w - side)", "composite"),
    (WienerLocal, "_parts", "masks.T", "masks", "wiener"),
    (WienerLocal, "masks", "self.threshold * relative.max()", "self.threshold", "wiener"),
    (WienerLocal, "masks", "diagonal()[:, None]", "diagonal()[None]", "wiener"),
]


@pytest.mark.parametrize(("owner", "method", "right", "wrong", "name"), SLIPS)
def test_a_slip_in_the_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, right: str, wrong: str, name: str
) -> None:
    monkeypatch.setattr(owner, method, slipped(getattr(owner, method), right, wrong))
    make, definition = CASES[name]
    found = make(dtype=torch.float64, memory=1).denoise(NOISY, 0.3)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(found, definition(NOISY, 0.3), rtol=0, atol=1e-6)


# --- what must hold --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_window_of_the_whole_image_is_the_empirical_optimum(anywhere: bool) -> None:
    found = Local(IMAGES, 2 * W - 1, anywhere=anywhere, dtype=torch.float64)
    for sigma in (0.02, 0.3, 2.0):
        wanted = Empirical(IMAGES).denoise(NOISY, sigma)
        torch.testing.assert_close(found.denoise(NOISY, sigma), wanted, rtol=0, atol=EXACT)
    square = Composite(IMAGES[..., :H], H, dtype=torch.float64).denoise(NOISY[..., :H], 0.3)
    torch.testing.assert_close(square, Empirical(IMAGES[..., :H]).denoise(NOISY[..., :H], 0.3), rtol=0, atol=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_a_training_image_stays_where_there_is_hardly_any_noise(name: str) -> None:
    found = CASES[name][0](dtype=torch.float64).denoise(IMAGES, 1e-3)
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["pixel", "local", "composite", "wiener"])
def test_much_noise_leaves_the_mean_as_it_does_of_a_gaussian(name: str) -> None:
    found = CASES[name][0](dtype=torch.float64).denoise(NOISY, 1e4)
    torch.testing.assert_close(found, Gaussian.from_images(IMAGES).denoise(NOISY, 1e4), rtol=0, atol=1e-6)


def test_of_many_independent_gaussian_pixels_each_is_shrunk_as_wiener_does() -> None:
    images = 0.5 + 0.2 * noise(torch.empty(40_000, 1, 2, 2))
    y = 0.5 + 0.3 * noise(torch.empty(5, 1, 2, 2), seed=2)
    wanted = 0.5 + 0.2**2 / (0.2**2 + 0.3**2) * (y - 0.5)
    torch.testing.assert_close(Local(images, 1).denoise(y, 0.3), wanted, rtol=0, atol=0.01)


@pytest.mark.parametrize(("anywhere", "moves"), [(True, True), (False, False)])
def test_anywhere_follows_a_moved_image(anywhere: bool, moves: bool) -> None:
    """Inside, where neither window nor shift meets a border."""
    y = draw(1, 1, 9, 9, seed=3)
    denoiser = Local(draw(6, 1, 9, 9), 3, anywhere=anywhere, dtype=torch.float64)
    still, moved = denoiser.denoise(y, 0.3), denoiser.denoise(y.roll((1, 2), (2, 3)), 0.3)
    difference = float((moved[..., 2:-1, 3:-1] - still[..., 1:-2, 1:-3]).abs().max())
    assert (difference < EXACT) == moves


def test_a_pixel_far_away_alters_nothing() -> None:
    for make, reach in ((Local(IMAGES, 3), 1), (Composite(IMAGES, 2), 1)):
        other = NOISY.clone()
        other[:, :, 1, 1] += 1
        changed = (make.denoise(other, 0.3) != make.denoise(NOISY, 0.3)).any(dim=1).any(dim=0)
        rows, columns = changed.nonzero().T
        assert {int(rows.max()), int(columns.max())} == {1 + reach}


def test_the_wiener_filter_s_masks_follow_the_images() -> None:
    """Left and right half independent, each smooth: no mask crosses from one to the other."""
    halves = draw(4000, 1, 1, 2)
    images = halves.repeat_interleave(3, dim=3) + 0.05 * noise(torch.empty(4000, 1, 1, 6))
    masks = WienerLocal(images, [0.3], threshold=0.2).masks(0.3)
    assert masks.tolist() == torch.block_diag(torch.ones(3, 3), torch.ones(3, 3)).bool().tolist()


def test_each_image_may_have_its_own_level() -> None:
    sigmas = torch.tensor([0.1, 0.3, 1.0])
    for denoiser in (Local(IMAGES, {0.1: 1, 0.35: 3, 2.0: 5}, dtype=torch.float64), CASES["wiener"][0]()):
        found = denoiser.denoise(NOISY, sigmas)
        wanted = torch.cat([denoiser.denoise(NOISY[k : k + 1], float(s)) for k, s in enumerate(sigmas)])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    scheduled = Local(IMAGES, {0.1: 1, 0.35: 3, 2.0: 5}, dtype=torch.float64)
    for sigma, side in ((0.01, 1), (0.3, 3), (9.0, 5)):
        wanted = Local(IMAGES, side, dtype=torch.float64).denoise(NOISY, sigma)
        assert torch.equal(scheduled.denoise(NOISY, sigma), wanted)


def smooth(n: int, size: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("make", [lambda x, d: Local(x, 7, dtype=d), lambda x, d: WienerLocal(x, [0.1], dtype=d)])
def test_single_precision_is_as_accurate_as_stated(make: Callable[[Tensor, torch.dtype], Patchwise]) -> None:
    images = smooth(300, 20)
    for sigma in (0.05, 0.3):
        y = smooth(4, 20, seed=5) + sigma * noise(torch.empty(4, 1, 20, 20)).float()
        single, double = (make(images, dtype).denoise(y, sigma) for dtype in (torch.float32, torch.float64))
        assert 0 < float((single - double).abs().max()) < 1e-4


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that is made."""

    nbytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.nbytes = max(self.nbytes, found.untyped_storage().nbytes())
        return found


@pytest.mark.parametrize("memory", [4_000_000, 16_000_000])
def test_tiles_keep_to_the_memory(memory: int) -> None:
    """Eight noisy images against all windows of 300 at once would take 440 MB."""
    images = smooth(300, 16)
    denoiser = Local(images, 5, anywhere=True, memory=memory)
    with Largest() as largest:
        denoiser.denoise(images[:8], 0.3)
    assert memory / 4 < largest.nbytes < memory


# --- what they plug into ---------------------------------------------------------------------------------------

LEVELS = torch.logspace(-2, 0.3, 16).tolist()


def test_it_samples_as_a_network_does_and_the_empirical_optimum_predicts_itself() -> None:
    images = smooth(30, 8)
    seen_by, mean = Gaussian.from_images(images), images.mean(dim=0)
    whole = Local(images, 15).blind(LEVELS, seen_by=seen_by)
    optimum, predicted = (heun(d, range(6), mean).images for d in (Empirical(images).blind(LEVELS), whole))
    found = prediction(optimum, predicted)
    assert found.r2.same.min() > 0.999 and found.pearson.same.min() > 0.999
    assert found.r2.mismatched.mean() < 0.2 and prediction(optimum, predicted.roll(1, 0)).r2.same.mean() < 0.2

    local = Local(images, 3).blind(LEVELS, seen_by=seen_by)
    made = sample(local, range(4), mean, h0=0.05, sigma_end=0.05)
    assert bool(made.converged.all()) and made.images.dtype == torch.float32
    nearest = torch.cdist(made.images.flatten(1), images.flatten(1)).min(dim=1).values
    assert float(nearest.min()) > 0.5, "local posterior means compose new images"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Local(IMAGES[0], 3), r"images: found shape \(2, 5, 6\); expected a training set"),
        (lambda: Local(IMAGES * torch.nan, 3), "images: found missing or infinite"),
        (lambda: Local(IMAGES, 4), "window: found 4 pixels; expected an odd number"),
        (lambda: Local(IMAGES, 0), "window: found 0 pixels; expected at least 1"),
        (lambda: Local(IMAGES, {}), "window: found no noise level"),
        (lambda: Local(IMAGES, {-1.0: 3}), "window: noise level: found -1.0"),
        (lambda: Composite(IMAGES, 6), "window: found 6 pixels; expected at most 5"),
        (lambda: WienerLocal(IMAGES, []), "levels: found none"),
        (lambda: WienerLocal(IMAGES, [0.0]), "levels: found 0.0"),
        (lambda: WienerLocal(IMAGES, [0.1], threshold=0), "threshold: found 0"),
        (lambda: Local(IMAGES, 3).denoise(NOISY[0], 0.1), r"y: found shape \(2, 5, 6\); expected noisy images \(b, 2"),
        (lambda: Local(IMAGES, 3).denoise(NOISY * torch.nan, 0.1), "y: found missing"),
        (lambda: Local(IMAGES, 3).denoise(NOISY, 0.0), r"sigma: found \[0.0, 0.0, 0.0\]; expected positive"),
        (lambda: Local(IMAGES, 3).denoise(NOISY, torch.ones(2)), "sigma: found 2 levels for 3 images"),
        (lambda: Local(IMAGES, 3).blind(LEVELS, seen_by=Empirical(draw(3, 7))), "seen_by: found a density of 7"),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()

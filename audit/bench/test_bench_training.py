"""Training and sampling against the published ones: same run, same network, same batch, alternating.

Ratios stand in the benchmark's `extra_info`, each beside its target; what is asserted does not depend on the machine's
speed. Options of the audit apply: `pytest audit/bench/test_bench_training.py --device cuda`.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from audit.bench.published_trainer import plain_network, sample_one, train_epochs
from core.denoisers.sampling import Samples, sample
from core.denoisers.unet import UNet, denoise
from core.machine import peak_rss
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.train import build_model, train
from fixtures.faces.corpus import generate

ROUNDS = 3
SEEDS = 64
# least ratio to the published code, on two cores and on an accelerator
TRAINING = {
    "desk": {"cpu": 1.5, "cuda": 3},
    "desk, batch 128": {"cpu": 1.5, "cuda": 3},
    "full": {"cpu": 1.2, "cuda": 3},
}
SAMPLING = {"cpu": 5, "cuda": 30}
PICTURES = 256
# name: options, images an epoch: a multiple of the pictures, as the published code repeats them by a whole factor
NETWORKS = {
    "desk": (preset("desk").train.replace(epochs=1, halve_every=1), 12 * PICTURES),
    "desk, batch 128": (preset("desk").train.replace(epochs=1, batch=128), 12 * PICTURES),
    "full": (TrainConfig(epochs=1, batch=32, repetition="exact"), PICTURES),
}


@pytest.fixture(scope="module")
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="module")
def pictures() -> dict[int, Tensor]:
    return {size: generate(PICTURES, size=size, seed=0).corpus.images for size in (20, 40)}


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], Any], device: str) -> float:
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def alternately(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Seconds that both say they took, one after the other, so that what else the machine does falls on both."""
    rounds = [(ours(), theirs()) for _ in range(ROUNDS)]
    return [a for a, _ in rounds], [b for _, b in rounds]


def peak_memory(device: str, work: Callable[..., Any], *arguments: Any) -> int:
    """Mebibytes at most that `work` takes: of the accelerator, or of a fresh process over its start."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        work(*arguments, device)
        return torch.cuda.max_memory_allocated() // 2**20
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_grown, work, *arguments).result()


def _grown(work: Callable[..., Any], *arguments: Any) -> int:
    """Runs in a fresh process, whose peak is its own: some systems hand on that of the parent."""
    before = peak_rss()
    work(*arguments, "cpu")
    return (peak_rss() - before) // 2**20


def last_epoch(images: Tensor, config: TrainConfig, device: str) -> float:
    """Seconds of the last epoch: what is compiled, is compiled in the first."""
    return float(train(images, config, seed=0, device=device).history[-1]["seconds"])


def draw(state: dict[str, Tensor], config: TrainConfig, mean: Tensor, device: str) -> Samples:
    """Samples of all seeds from a network of these weights."""
    model = UNet(config.base_channels, config.blocks).to(device)
    model.load_state_dict(state)
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return sample(partial(denoise, model), range(SEEDS), mean.to(device))


def told(ratios: Iterable[float], target: float) -> dict[str, Any]:
    """A ratio beside its target, for a benchmark's `extra_info`."""
    ratio = statistics.median(ratios)
    return {"ratio": round(ratio, 2), "target": target, "meets_target": ratio >= target}


def peak_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square product or of a wide convolution, the best of twenty.

    On some processors the library of products is slower than that of convolutions, of which a network consists.
    """
    n, wide, side = 8192 if device == "cuda" else 1536, 64, 80
    a = torch.randn(n, n, device=device, dtype=dtype)
    images = torch.randn(8, wide, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(wide, wide, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    works = {
        2 * n**3: partial(torch.mm, a, a),
        2 * 9 * wide**2 * side**2 * len(images): partial(conv2d, images, weight, padding=1),
    }
    with torch.no_grad():
        for work in works.values():
            work()
        return max(count / min(seconds(work, device) for _ in range(20)) for count, work in works.items())


def operations(config: TrainConfig) -> float:
    """Floating-point operations of one image passing through the network."""
    from torch.utils.flop_counter import FlopCounterMode

    model = UNet(config.base_channels, config.blocks, config.in_channels)
    y = torch.zeros(1, config.in_channels, config.image_size, config.image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(y)
    return float(counter.get_total_flops())


@pytest.mark.parametrize("name", NETWORKS)
def test_training_throughput(benchmark: Any, name: str, device: str, pictures: dict[int, Tensor]) -> None:
    config, total = NETWORKS[name]
    config = config.replace(exposures=total * (50 if device == "cuda" else 1))
    if device == "cuda":
        config = config.replace(precision="bf16", batch=512, compile=True, epochs=2)
    images = pictures[config.image_size]
    plain = plain_network(build_model(config.replace(channels_last=False), 0)).to(device)

    def ours() -> float:
        return last_epoch(images, config, device)

    def theirs() -> float:
        size = {"total": config.exposures, "batch": config.batch, "epochs": config.epochs}
        return train_epochs(plain, images, device=device, **size)[1]

    ours(), theirs()  # the first run of either warms up
    fast, slow = alternately(ours, theirs)
    rate = config.exposures / statistics.median(fast)
    peak = peak_rate(device, torch.bfloat16 if config.precision == "bf16" else torch.float32)
    benchmark.extra_info.update(
        images_per_second=round(rate),
        published_images_per_second=round(config.exposures / statistics.median(slow)),
        **told((b / a for a, b in zip(fast, slow, strict=True)), TRAINING[name][device]),
        share_of_peak=round(rate * 3 * operations(config) / peak, 3),  # forward, and two gradients
        peak_memory_mb=peak_memory(device, last_epoch, images, config),
        device=torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
    )
    benchmark.pedantic(ours, rounds=1, iterations=1)


def test_sampling_throughput(benchmark: Any, device: str, pictures: dict[int, Tensor]) -> None:
    config = preset("desk").train.replace(epochs=1, exposures=4000, halve_every=1)
    images = pictures[20]
    model = train(images, config, seed=0, device=device).model.to(device)
    plain = plain_network(UNet(config.base_channels, config.blocks))
    plain.load_state_dict(model.state_dict())
    plain = plain.to(device).eval()
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    mean = images.mean(dim=0).to(device)
    few = range(8)  # the published sampler takes as long for each of 64

    def ours() -> Samples:
        return draw(state, config, mean, device)

    def theirs() -> list[Tensor]:
        return [sample_one(plain, seed, mean)[0] for seed in few]

    ours(), theirs()
    fast, slow = alternately(partial(seconds, ours, device), partial(seconds, theirs, device))
    found = benchmark.pedantic(ours, rounds=1, iterations=1)
    passes = int(found.steps.sum()) + SEEDS  # every step, and the last denoising
    share = passes * operations(config) / statistics.median(fast) / peak_rate(device, torch.float32)
    benchmark.extra_info.update(
        samples_per_second=round(SEEDS / statistics.median(fast), 2),
        published_samples_per_second=round(len(few) / statistics.median(slow), 2),
        **told(((b / len(few)) / (a / SEEDS) for a, b in zip(fast, slow, strict=True)), SAMPLING[device]),
        share_of_peak=round(share, 3),
        peak_memory_mb=peak_memory(device, draw, state, config, mean),
    )
    if device == "cpu":  # on the CPU both draw the same noise: the images agree
        for seed, image in zip(few, theirs(), strict=True):
            assert (image[0] - found.images[seed]).abs().max() < 1e-2


def test_the_plain_trainer_trains_the_same_network(pictures: dict[int, Tensor]) -> None:
    config = preset("desk").train.replace(channels_last=False)
    y = pictures[20][:8] + 0.3 * torch.randn(8, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    for training in (False, True):
        with torch.no_grad():
            assert torch.allclose(
                build_model(config, 0).train(training)(y),
                plain_network(build_model(config, 0)).train(training)(y),
                atol=1e-6,
            )

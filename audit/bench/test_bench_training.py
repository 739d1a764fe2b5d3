"""Training and sampling against the published ones: same run, same network, same batch, alternating.

Ratios stand in the benchmark's `extra_info`; what is asserted does not depend on the machine's speed. Options of the
audit apply: `pytest audit/bench/test_bench_training.py --device cuda`.
"""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from audit.bench.published_trainer import plain_network, sample_one, train_epochs
from core.presets import TrainConfig, preset
from core.sample import sample
from core.train import build_model, train
from core.unet import UNet, denoise
from fixtures.faces import generate

ROUNDS = 3
# name: options, images an epoch
NETWORKS = {
    "desk": (preset("desk").train.replace(epochs=1, halve_every=1), 3200),
    "desk, batch 128": (preset("desk").train.replace(epochs=1, batch=128), 3200),
    "full": (TrainConfig(epochs=1, batch=32, repetition="exact"), 128),
}


@pytest.fixture(scope="module")
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="module")
def pictures() -> dict[int, Tensor]:
    return {size: generate(256, size=size, seed=0).corpus.images for size in (20, 40)}


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], Any], device: str) -> float:
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def alternately(ours: Callable[[], Any], theirs: Callable[[], Any], device: str) -> tuple[list[float], list[float]]:
    """Seconds of both, one after the other, so that what else the machine does falls on both."""
    rounds = [(seconds(ours, device), seconds(theirs, device)) for _ in range(ROUNDS)]
    return [a for a, _ in rounds], [b for _, b in rounds]


def peak_memory(config: TrainConfig, images: Tensor, device: str) -> int:
    """Mebibytes at most that a training takes: of the accelerator, or of a fresh process over its start."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        train(images, config, seed=0, device=device)
        return torch.cuda.max_memory_allocated() // 2**20
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_grown, images, config).result()


def _grown(images: Tensor, config: TrainConfig) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    train(images, config, seed=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 2**10


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square product, the best of twenty."""
    n = 8192 if device == "cuda" else 1536
    a = torch.randn(n, n, device=device, dtype=dtype)
    torch.mm(a, a)
    return 2 * n**3 / min(seconds(lambda: torch.mm(a, a), device) for _ in range(20))


def operations(config: TrainConfig) -> float:
    """Floating-point operations of one image in training: forward, and twice that for the two gradients."""
    from torch.utils.flop_counter import FlopCounterMode

    model = UNet(config.base_channels, config.blocks, config.in_channels)
    y = torch.zeros(1, config.in_channels, config.image_size, config.image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(y)
    return 3 * float(counter.get_total_flops())


@pytest.mark.parametrize("name", NETWORKS)
def test_training_throughput(benchmark: Any, name: str, device: str, pictures: dict[int, Tensor]) -> None:
    config, total = NETWORKS[name]
    config = config.replace(exposures=total * (50 if device == "cuda" else 1))
    if device == "cuda":
        config = config.replace(precision="bf16", batch=512, compile=True)
    images = pictures[config.image_size]
    plain = plain_network(build_model(config.replace(channels_last=False), 0)).to(device)

    def ours() -> None:
        train(images, config, seed=0, device=device)

    def theirs() -> None:
        train_epochs(plain, images, total=config.exposures, batch=config.batch, epochs=1, device=device)

    seconds(ours, device), seconds(theirs, device)  # the first run of either warms up
    fast, slow = alternately(ours, theirs, device)
    rate = config.exposures / statistics.median(fast)
    peak = matrix_peak(device, torch.bfloat16 if config.precision == "bf16" else torch.float32)
    benchmark.extra_info.update(
        images_per_second=round(rate),
        published_images_per_second=round(config.exposures / statistics.median(slow)),
        ratio=round(statistics.median(b / a for a, b in zip(fast, slow, strict=True)), 2),
        share_of_matrix_peak=round(rate * operations(config) / peak, 3),
        peak_memory_mb=peak_memory(config, images, device),
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
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = images.mean(dim=0).to(device)
    few = range(8)  # the published sampler takes as long for each of 64

    def ours() -> Tensor:
        return sample(partial(denoise, model), range(64), mean).images

    def theirs() -> list[Tensor]:
        return [sample_one(plain, seed, mean)[0] for seed in few]

    ours(), theirs()
    fast, slow = alternately(ours, theirs, device)
    benchmark.extra_info.update(
        samples_per_second=round(64 / statistics.median(fast), 2),
        published_samples_per_second=round(len(few) / statistics.median(slow), 2),
        ratio=round(statistics.median((b / len(few)) / (a / 64) for a, b in zip(fast, slow, strict=True)), 2),
    )
    found = benchmark.pedantic(ours, rounds=1, iterations=1)
    if device == "cpu":  # on the CPU both draw the same noise: the images agree
        for seed, image in zip(few, theirs(), strict=True):
            assert (image[0] - found[seed]).abs().max() < 1e-2


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

"""The exhaustive LPIPS search against the `lpips` package called pair by pair, and its memory.

Times stand in the benchmark's `extra_info`; what is asserted does not depend on the machine: how many images pass
through the network, and that memory does not grow with the training set.
"""

import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from audit.bench.lpips_search import main
from core.metrics.lpips import Embedding, nearest_lpips
from core.weights import WeightsMissing

QUERIES, TRAIN, PAIRS, SIZE = 64, 64, 3, 40


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    try:
        return Embedding()
    except WeightsMissing as error:
        pytest.skip(str(error))


def _images(n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_search_against_pair_by_pair(benchmark: Any, embedding: Embedding) -> None:
    queries, train = _images(QUERIES, 0), _images(TRAIN, 1)
    passed = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        nonlocal passed
        passed += len(inputs[0])

    # on the first layer: the package calls the network's `forward` itself, past its hooks
    hook = embedding.model.net.slice1[0].register_forward_hook(count)
    started = time.perf_counter()
    benchmark.pedantic(lambda: nearest_lpips(embedding, queries, train, 10), rounds=1, warmup_rounds=0)
    seconds = time.perf_counter() - started
    search_passed, passed = passed, 0
    pair = [x[:1].expand(-1, 3, -1, -1) * 2 - 1 for x in (queries, train)]
    with torch.no_grad():
        embedding.model(*pair)
        passed, started = 0, time.perf_counter()
        for _ in range(PAIRS):
            embedding.model(*pair)
    a_pair = (time.perf_counter() - started) / PAIRS
    hook.remove()
    benchmark.extra_info |= {
        "images per second through the network": (QUERIES + TRAIN) / seconds,
        "seconds a pair by the package": a_pair,
        "times faster than pair by pair": QUERIES * TRAIN * a_pair / seconds,
    }
    # one pass an image (and one to learn the width) against two a pair
    assert passed == 2 * PAIRS and search_passed == QUERIES + TRAIN + 1
    assert 50 * search_passed <= 2 * QUERIES * TRAIN


PEAK = """
import resource, sys, torch
from audit.bench.lpips_search import main
from core.metrics.lpips import Embedding, nearest_lpips
torch.set_num_threads(1)
embedding, n = Embedding(), int(sys.argv[1])
nearest_lpips(embedding, torch.rand(4, 1, 40, 40), torch.rand(n, 1, 40, 40), 5, batch=8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024))
"""


def test_memory_does_not_grow_with_the_training_set(embedding: Embedding) -> None:
    """120 more images would take 93 MB if their vectors were kept."""
    peaks = []
    for n in (8, 128):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PEAK, str(n)], capture_output=True, text=True, check=True
        )
        peaks.append(float(done.stdout))
    assert peaks[1] - peaks[0] < 45


def test_the_demonstration_runs(embedding: Embedding, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--images", "40", "--queries", "3", "--size", "20"])
    out = capsys.readouterr().out
    assert "of 40 images, 3 queries" in out and "among the first 10 by correlation" in out

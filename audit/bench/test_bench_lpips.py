"""The exhaustive LPIPS search against the `lpips` package called pair by pair, and its memory.

Times stand in the benchmark's `extra_info`; what is asserted does not depend on the machine: how many images pass
through the network, and that memory does not grow with the training set.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.bench.lpips_search import main, private_memory
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.lpips_weights import WeightsMissing

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


MEMORY = """
import sys, torch
from audit.bench.lpips_search import private_memory
from core.metrics.lpips import Embedding, nearest_lpips
torch.set_num_threads(1)
embedding, n, hoard = Embedding(), int(sys.argv[1]), sys.argv[2] == "hoard"
train, held, peak = torch.rand(n, 1, 40, 40), [], 0.0

def look(done, total):
    global peak
    if hoard:
        held.append(embedding.embed(train[done - 8 : done]))
    peak = max(peak, private_memory())

nearest_lpips(embedding, torch.rand(4, 1, 40, 40), train, 5, batch=8, progress=look)
print(1024 * peak)
"""


def _memory(n: int, how: str = "stream") -> float:
    """Megabytes of the process's own that a search over n images holds at most, sampled after every batch."""
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(n), how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not private_memory(), reason="reads /proc/self/status, which only Linux has")
def test_memory_does_not_grow_with_the_training_set(benchmark: Any, embedding: Embedding) -> None:
    """120 more images take 93 MB if their vectors are kept, as the control does."""
    small, large = _memory(8), benchmark.pedantic(_memory, args=(128,), rounds=1)
    benchmark.extra_info |= {"MB, 8 images": small, "MB, 128 images": large}
    assert large - small < 45
    assert _memory(128, "hoard") - small > 80


def test_the_demonstration_runs(benchmark: Any, embedding: Embedding, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.pedantic(main, args=(["--images", "40", "--queries", "3", "--size", "20"],), rounds=1)
    out = capsys.readouterr().out
    assert "of 40 images, 3 queries" in out and "among the first 10 by correlation" in out


def test_a_part_of_a_set_in_a_file_tells_what_the_rest_takes(
    benchmark: Any, embedding: Embedding, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["--images", "200", "--queries", "3", "--size", "20", "--mapped", str(tmp_path / "a.npy")]
    benchmark.pedantic(main, args=([*arguments, "--first", "64"],), rounds=1)
    out = capsys.readouterr().out
    assert "64 of 200 images, 3 queries" in out and "all 200 would take" in out and "among the first" not in out

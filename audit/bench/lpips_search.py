"""The exhaustive LPIPS search at scale: `python -m audit.bench.lpips_search --images 20000`.

Generated faces; prints images a second, peak memory, and how often the true nearest is among the first k by
correlation. Stopped at any moment, it continues where it was (`--state`); the time is then that of the last call.
`--mapped FILE` keeps the images in a memory-mapped file; `--first M` stops after M of them and says what the rest would
take at the rate measured. `--first-pass float32` makes the search in one pass; by default the processor decides.
"""

import argparse
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from core.machine import keep_freed_memory
from core.metrics.known_copies import check_held_out
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.neighbours import nearest
from core.metrics.retrieval import recall_by_k
from fixtures.faces.corpus import generate

BATCH = 32
BLOCK = 10_000  # faces drawn at once into a file
SEED = 3


class Enough(Exception):
    """Raised to end a search early."""


def faces(count: int, size: int, file: Path | None) -> torch.Tensor | np.ndarray:
    """Generated faces (count, 1, size, size), in memory or in a memory-mapped file; in a file every block is a seed."""
    if file is None:
        return generate(count, size=size, seed=SEED).corpus.images
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, 1, size, size))
    for number, start in enumerate(range(0, count, BLOCK)):
        end = min(start + BLOCK, count)
        mapped[start:end] = generate(end - start, size=size, seed=SEED + number).corpus.images.numpy()
    mapped.flush()
    del mapped
    return np.load(file, mmap_mode="r")


def in_memory(images: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Images as a tensor, read from their file if they are in one."""
    return images if isinstance(images, torch.Tensor) else torch.from_numpy(np.array(images))


def private_memory() -> float:
    """Gigabytes that the process holds now besides pages of files; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024**2


def main(arguments: list[str] | None = None) -> None:
    """Search the LPIPS-nearest of held-out faces among generated ones, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="size of the training set")
    parser.add_argument("--queries", type=int, default=64, help="number of queries")
    parser.add_argument("--size", type=int, default=40, help="height and width of an image")
    parser.add_argument("--net", default="vgg", help="vgg, alex, st-vgg or st-alex")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--state", type=Path, help="folder in which the search is kept")
    parser.add_argument("--mapped", type=Path, help="file in which the images are kept, .npy; written anew")
    parser.add_argument("--first", type=int, help="stop after so many images and extrapolate")
    parser.add_argument("--first-pass", choices=["float32", "bfloat16"], help="precision of the first pass")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the audit and the commands do
    images = faces(options.images + options.queries, options.size, options.mapped)
    queries, train = in_memory(images[: options.queries]), images[options.queries :]
    embedding = Embedding(options.net, device=options.device)
    batches, memory = 0, 0.0
    started, worked = time.perf_counter(), time.process_time()
    found = None
    with Progress(transient=True) as bar:
        task = bar.add_task("LPIPS search", total=None)

        def show(done: int, total: int) -> None:
            nonlocal batches, memory
            batches, memory = batches + 1, max(memory, private_memory())
            bar.update(task, completed=done, total=total)
            if options.first is not None and BATCH * batches >= options.first:
                raise Enough

        with suppress(Enough):
            found = nearest_lpips(
                embedding, queries, train, 10, batch=BATCH, state=options.state, progress=show,
                first_pass=options.first_pass,
            )  # fmt: skip
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    count = min(BATCH * batches, len(train))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
    print(
        f"{count:,} of {len(train):,} images, {len(queries)} queries: {seconds:.0f} s, {work:.0f} s of processor time,"
    )
    print(
        f"{count / seconds:.0f} images a second, peak memory {peak:.2f} GB of which {train.nbytes / 1e9:.2f} the images"
    )
    print(f"without pages of files the process held at most {memory:.2f} GB")
    if found is None:
        print(f"all {len(train):,} would take {len(train) / count * seconds / 60:.0f} minutes at this rate")
        return
    for how in found.passes:
        print(
            f"first pass in {how.first}; measured again in float32: {how.measured_again:,} images, bound "
            f"{how.bound:.2g} (largest difference {how.difference:.2g}), exceeded {how.exceeded} times; "
            f"searched again: {how.searched_again} queries"
        )
    whole = in_memory(train)
    check_held_out(queries, whole)
    recall = recall_by_k(found.index[:, 0].numpy(), nearest(queries, whole, 10).index.numpy())
    for k, (value, i) in enumerate(recall, 1):
        print(f"nearest by LPIPS among the first {k:2} by correlation: {value:.3f} [{i.low:.3f}, {i.high:.3f}]")


if __name__ == "__main__":
    main()

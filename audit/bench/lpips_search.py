"""The exhaustive LPIPS search at scale: `python -m audit.bench.lpips_search --images 20000`.

Generated faces; prints images a second, peak memory, and how often the true nearest is among the first k by
correlation. Stopped at any moment, it continues where it was (`--state`); the time is then that of the last call.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

from rich.progress import Progress

from core.metrics.correlation import nearest
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.retrieval import recall_by_k
from fixtures.faces import generate

BATCH = 32


def main(arguments: list[str] | None = None) -> None:
    """Search the LPIPS-nearest of held-out faces among generated ones, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="size of the training set")
    parser.add_argument("--queries", type=int, default=64, help="number of queries")
    parser.add_argument("--size", type=int, default=40, help="height and width of an image")
    parser.add_argument("--net", default="vgg", help="vgg, alex, st-vgg or st-alex")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--state", type=Path, help="folder in which the search is kept")
    options = parser.parse_args(arguments)
    images = generate(options.images + options.queries, size=options.size, seed=3).corpus.images
    queries, train = images[: options.queries], images[options.queries :]
    embedding = Embedding(options.net, device=options.device)
    batches = 0
    started, worked = time.perf_counter(), time.process_time()
    with Progress(transient=True) as bar:
        task = bar.add_task("LPIPS search", total=None)

        def show(done: int, total: int) -> None:
            nonlocal batches
            batches += 1
            bar.update(task, completed=done, total=total)

        found = nearest_lpips(embedding, queries, train, 10, batch=BATCH, state=options.state, progress=show)
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    count = min(BATCH * batches, len(train))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
    print(
        f"{count:,} of {len(train):,} images, {len(queries)} queries: {seconds:.0f} s, {work:.0f} s of processor time,"
    )
    print(
        f"{count / seconds:.0f} images a second, peak memory {peak:.2f} GB of which {train.nbytes / 1e9:.2f} the images"
    )
    recall = recall_by_k(found.index[:, 0].numpy(), nearest(queries, train, 10).index.numpy())
    for k, (value, i) in enumerate(recall, 1):
        print(f"nearest by LPIPS among the first {k:2} by correlation: {value:.3f} [{i.low:.3f}, {i.high:.3f}]")


if __name__ == "__main__":
    main()

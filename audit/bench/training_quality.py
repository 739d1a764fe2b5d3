"""Processor seconds and held-out loss of the desk's training against an earlier recipe of it.

`python -m audit.bench.training_quality [IMAGES.pt]`. IMAGES.pt holds one tensor (n, 1, 20, 20) float32 in [0, 1]; its
last quarter is held out. Without it faces are generated from a seed that no claim uses.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from core.tensors import load_plain
from core.training.config import TrainConfig
from core.training.presets import preset
from core.training.train import check_images, evaluate, train
from fixtures.faces.corpus import generate

SEED = 7701
DESK = preset("desk").train
BEFORE = TrainConfig(
    image_size=20,
    base_channels=16,
    blocks=2,
    exposures=4_000,
    epochs=10,
    batch=16,
    learning_rate=2e-3,
    halve_every=1,
    repetition="exact",
)


def measured(config: TrainConfig, images: Tensor, held_out: Tensor, seed: int) -> tuple[float, float, float]:
    """Processor seconds of a training, its loss on held-out images, and on at most as many of its own."""
    began = time.process_time()
    model = train(images, config, seed=seed).model
    seconds = time.process_time() - began
    losses = (evaluate(model, part, BEFORE, 0)["test_loss"] for part in (held_out, images[: len(held_out)]))
    return seconds, *losses  # type: ignore[return-value]


def main(arguments: list[str] | None = None) -> None:
    """Train both recipes on the same images with the same seeds, alternating, and print what each took and gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, nargs="?", help="a file of images; generated faces without it")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 32, 512, 4096], help="images of a training")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each recipe and size")
    whole = DESK.exposures * DESK.epochs
    parser.add_argument("--shown", type=int, default=whole, help="images that the desk's recipe is shown")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    desk = DESK.replace(exposures=options.shown // DESK.epochs)
    images = load_plain(options.images) if options.images else generate(6144, size=20, seed=SEED).corpus.images
    check_images(images, DESK)
    held_out = images[-(len(images) // 4) :]
    for n in options.sizes:
        for seed in range(options.seeds):
            for name, config in (("before", BEFORE), ("desk", desk)):
                seconds, test, own = measured(config, images[: min(n, len(images) - len(held_out))], held_out, seed)
                found = f"{seconds:5.1f} processor s, held-out loss {test:.3f}, own {own:.3f}"
                print(f"N={n} seed {seed} {name:6}: {found}", flush=True)


if __name__ == "__main__":
    main()

"""Images in place of samples, whose nearness to training images is known: for the controls of T-originality."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from audit.measures.originality import Nearness, first, nearness
from audit.measures.record import SEED
from core.metrics.lpips import Embedding, nearest_lpips
from core.seeds import generator
from fixtures.experiments.desk import GROUPS, RANDOM, Cell, TrainedExperiment

SEARCHED = 256  # training images
IMAGES_LOOKED_AT = 48  # in place of samples of one training, of which there are three; as many new ones as of all
LIGHT = 0.6  # from one side to the other, in grey levels of 0 to 1


def near_faces(desk: TrainedExperiment, embedding: Embedding, plant: str) -> Nearness:
    """Distances of three times 48 planted images and of as many new images, to the same training images.

    `plant` is `lit` (training images under a light from one side), `new` (held-out images), `noisy` (these with noise),
    `smooth` (blurred training images), `partly copied` (held-out images, every fourth a training image) or `copied`.
    """
    return all_plants(desk, embedding)[plant]


@cache
def all_plants(desk: TrainedExperiment, embedding: Embedding) -> dict[str, Nearness]:
    """All of them by one pass over the training images."""
    train = desk.images(Cell(RANDOM, desk.sizes[-1], GROUPS[0]))[:SEARCHED]
    count, strangers = 3 * IMAGES_LOOKED_AT, desk.held_out.images
    some, new, held_out = train[:count], strangers[:count], strangers[count : 2 * count]
    planted = {
        "lit": lit(some),
        "new": new,
        "noisy": new + 0.2 * torch.randn(new.shape, generator=generator("cpu", SEED, "noisy faces")),
        "smooth": functional.avg_pool2d(functional.pad(some, (2, 2, 2, 2), mode="replicate"), 5, stride=1),
        "partly copied": torch.where((torch.arange(count) % 4 == 0)[:, None, None, None], some, new),
        "copied": some,
    }
    images = {name: x.clamp(0, 1).split(IMAGES_LOOKED_AT) for name, x in planted.items()}
    found = first(nearest_lpips(embedding, torch.cat([*planted.values(), held_out]).clamp(0, 1), train, 1))
    *by_plant, by_new = found.reshape(len(planted) + 1, 3, IMAGES_LOOKED_AT)
    return {
        name: nearness(images[name], held_out, train, (by, by_new.reshape(-1)))
        for name, by in zip(planted, by_plant, strict=True)
    }


def lit(images: Tensor) -> Tensor:
    """The images (n, c, h, w) with a light that falls off from left to right."""
    return images + torch.linspace(-LIGHT / 2, LIGHT / 2, images.shape[-1])

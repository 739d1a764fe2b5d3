"""Defects planted in trained pairs, upstream of every measure: in seeds, weights and training images."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from audit.measures.agreement import AtSize, from_samples, samples_of, wiener_samples
from audit.measures.attribute_reader import ReadAttribute, attribute_reader
from core.data.corpus import Corpus
from core.denoisers.sampling import start_mean
from core.seeds import generator
from core.training.samples import converged, network_denoiser, sampled
from core.training.train import build_model
from fixtures.experiments.desk import GROUPS, RANDOM, Cell, ModelJob, TrainedExperiment
from fixtures.experiments.experiment import HEUN

Plant = Callable[[Sequence[Tensor]], Sequence[Tensor]]
TRAINED_ON_A = "the images of A"


def shifted(samples: Sequence[Tensor]) -> list[Tensor]:
    """Samples moved on by one seed: sample k comes from the noise of seed k - 1."""
    return [images.roll(1, 0) for images in samples]


def with_other_samples(desk: TrainedExperiment, size: AtSize, sampler: str, plant: Plant) -> AtSize:
    """The same N with other samples of B, made of those that its networks gave."""
    a, b = (samples_of(desk, RANDOM, size.n, group, sampler=sampler) for group in GROUPS)
    return from_samples(desk, size.n, a, plant(b), sampler)


def leaking_jobs(desk: TrainedExperiment) -> list[ModelJob]:
    """Trainings of B, from B's seeds, on the images of A at the second smallest N."""
    images = desk.images(Cell(RANDOM, desk.sizes[1], GROUPS[0]))
    return [job for k in desk.trainings for job in desk.jobs_on({TRAINED_ON_A: images}, group=GROUPS[1], training=k)]


def trained_on_a(desk: TrainedExperiment) -> AtSize:
    """The second smallest N with networks of B that were trained on the images of A; by Heun's method."""
    n, jobs = desk.sizes[1], leaking_jobs(desk)
    mean, b = start_mean("group", jobs[0].images), []
    for job, trained in zip(jobs, desk.trained(jobs), strict=True):
        samples = desk.sampled(job.name, mean, partial(desk.as_denoiser, trained), f"sampling {job}", HEUN)
        b.append(converged(samples, str(job)))
    return from_samples(desk, n, samples_of(desk, RANDOM, n, GROUPS[0], sampler=HEUN), b, HEUN)


def untrained(desk: TrainedExperiment, n: int) -> Tensor:
    """Samples of a network that has learnt nothing, by Heun's method; NaN where it did not converge."""
    network = network_denoiser(build_model(desk.preset.train, 0).eval(), desk.device)
    mean = start_mean("group", desk.images(Cell(RANDOM, n, GROUPS[0])))
    return sampled(network, mean, desk.seeds, desk.options(HEUN))


def linear(desk: TrainedExperiment, n: int) -> AtSize:
    """The same N with linear denoisers as networks, each fitted to nine tenths of its group; by Heun's method."""

    def samples(group: str, k: int) -> Tensor:
        images = desk.images(Cell(RANDOM, n, group))
        kept = torch.randperm(n, generator=generator("cpu", k, "kept", group))[: 9 * n // 10]
        return wiener_samples(desk, images[kept], HEUN)

    a, b = ([samples(group, k) for k in desk.trainings] for group in GROUPS)
    return from_samples(desk, n, a, b, HEUN)


def read_glasses(desk: TrainedExperiment, *, shuffled: bool = False) -> ReadAttribute:
    """A reader of glasses that was fitted to the labels, or to shuffled ones."""
    used = {name for group in GROUPS for name in desk.names(Cell("Eyeglasses", desk.largest("Eyeglasses"), group))}
    corpus = desk.source("Eyeglasses")
    if shuffled:
        assert corpus.attributes is not None
        labels = corpus.attributes.sample(frac=1.0, random_state=0).reset_index(drop=True)
        corpus = Corpus(corpus.images, corpus.names, corpus.identities, labels)
    return attribute_reader("Eyeglasses", corpus, used)


def worn(desk: TrainedExperiment) -> tuple[list[Tensor], list[Tensor]]:
    """Images of the two halves by glasses, as if three networks of each had drawn them."""
    a, b = (desk.images(Cell("Eyeglasses", desk.largest("Eyeglasses"), group)) for group in GROUPS)
    return [a[k::3][:64] for k in range(3)], [b[k::3][:64] for k in range(3)]

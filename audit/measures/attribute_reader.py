"""A linear reader of an attribute from pixels, which says whether samples carry the attribute of their training set."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.data.corpus import Corpus
from core.errors import Missing
from core.stats import Interval, clopper_pearson


def labelled(corpus: Corpus, attribute: str) -> Corpus:
    """The corpus itself, checked to know the attribute.

    Raises:
        Missing: if it does not.
    """
    if corpus.attributes is None or attribute not in corpus.attributes:
        needs = f"a corpus with the attribute {attribute}, on which the pairs were trained"
        raise Missing(needs, "samenoise prepare --celeba DIR --out CORPUS, then train or import with --corpus CORPUS")
    return corpus


def thinned(corpus: Corpus, most: int = 20_000) -> Corpus:
    """Every so many-th image of a corpus too large to be fitted in memory: at most `most`."""
    return corpus if len(corpus) <= most else corpus.select(np.linspace(0, len(corpus) - 1, most).astype(int))


@dataclass(frozen=True)
class ReadAttribute:
    """A linear reader of one attribute: called with images (n, c, h, w) it says of each whether it has it, (n,) bool.

    Attributes:
        weights, offset: of the pixels.
        accuracy: mean of the shares of images with and without it that are read right, on images not fitted to.
        interval: of the accuracy, half the sum of the ends of both shares' exact intervals: at least as wide as asked.
    """

    weights: np.ndarray
    offset: float
    accuracy: float
    interval: Interval

    def __call__(self, images: Tensor) -> np.ndarray:
        """Whether each image has the attribute."""
        found: np.ndarray = images.reshape(len(images), -1).double().numpy() @ self.weights + self.offset > 0
        return found


def attribute_reader(attribute: str, corpus: Corpus, used: set[str]) -> ReadAttribute:
    """A linear reader of one attribute from pixels, held against images it was not fitted to.

    Ridge regression of the label on pixels, classes weighted equally, fitted on every other one of the images that are
    not in `used`.
    """
    corpus = thinned(labelled(corpus, attribute))
    assert corpus.attributes is not None
    free = np.array([name not in used for name in corpus.names])
    pixels = corpus.images.reshape(len(corpus), -1).double().numpy()
    labels = corpus.attributes[attribute].to_numpy(dtype=float)
    weight = np.where(labels > 0, 0.5 / (labels > 0).mean(), 0.5 / (labels < 0).mean())
    fit, test = np.flatnonzero(free)[::2], np.flatnonzero(free)[1::2]
    design = np.column_stack([pixels, np.ones(len(pixels))])
    gram = design[fit].T @ (weight[fit, None] * design[fit]) + 1e-3 * len(fit) * np.eye(design.shape[1])
    solution = np.linalg.solve(gram, design[fit].T @ (weight[fit] * labels[fit]))
    found = np.sign(design[test] @ solution)
    right = [(int((found[labels[test] == side] == side).sum()), int((labels[test] == side).sum())) for side in (-1, 1)]
    ends = [clopper_pearson(hits, n) for hits, n in right]
    method = "mean of two Clopper-Pearson intervals, of images with and without the attribute"
    interval = Interval(sum(e.low for e in ends) / 2, sum(e.high for e in ends) / 2, method, ends[0].level)
    return ReadAttribute(solution[:-1], float(solution[-1]), sum(hits / n for hits, n in right) / 2, interval)

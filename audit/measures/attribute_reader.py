"""A linear reader of an attribute from pixels, which says whether samples carry the attribute of their training set."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from core.data.corpus import Corpus
from core.errors import Missing


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


def attribute_reader(attribute: str, corpus: Corpus, used: set[str]) -> tuple[Callable[[Tensor], np.ndarray], float]:
    """A linear reader of one attribute from pixels, and its balanced accuracy on images it was not fitted to.

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
    accuracy = np.mean([(found[labels[test] == side] == side).mean() for side in (-1, 1)])

    def reader(images: Tensor) -> np.ndarray:
        rows = images.reshape(len(images), -1).double().numpy()
        return rows @ solution[:-1] + solution[-1] > 0

    return reader, float(accuracy)

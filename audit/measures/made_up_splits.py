"""Material for controls of measures on splits: groups and labels whose verdict is known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit.measures.attribute_overlap import against_random_halves
from audit.measures.attribute_splits import attribute_halves
from audit.measures.corpora import numbered_names
from audit.measures.every_attribute import every_attribute
from audit.measures.identity_splits import identity_overlap
from core.splits.build import by_attribute, by_identity
from reports.judge import Judge

PRINTED = {"T-eyeglasses-split": 13_193, "T-male-split": 84_434}


def made_up_overlap(identities: np.ndarray) -> dict[str, int]:
    """Shared identities of the two halves of a list of people, under the names of the largest published size."""
    names = numbered_names(len(identities))
    table = identity_overlap(names, pd.Series(identities, index=names), [len(names) // 2])
    counts = zip(table.definition, table.identities, strict=True)
    return {f"identities_{definition}_98117": count for definition, count in counts}


def made_up_halves(n: int) -> tuple[list[str], list[str], pd.Series]:
    """Halves by identity of n images, twenty a person, and who is on them."""
    names = numbered_names(n)
    owners = pd.Series(np.arange(n) // 20, index=names)
    groups = by_identity(names, owners.to_numpy(), 0).groups
    return list(groups["A"]), list(groups["B"]), owners


def built_halves(claim: str) -> tuple[list[str], pd.Series]:
    """Halves by attribute of a corpus with as many images with it as are printed, and the labels."""
    names = numbered_names(202_599)
    labels = np.where(np.arange(len(names)) < PRINTED[claim], 1, -1)
    groups = by_attribute(names, labels, 0).groups
    return [*groups["A"], *groups["B"]], pd.Series(labels, index=names)


def published_verdict(judge: Judge, claim: str, names: Sequence[str], labels: pd.Series) -> str:
    """The verdict on halves as published ones, no expectation having failed."""
    return judge(claim, {**attribute_halves(names, labels), "expectations_failed": 0}, "published")


def two_attributes(a: np.ndarray, b: np.ndarray, everyone: np.ndarray) -> dict[str, tuple[float, tuple[float, float]]]:
    """One pair of halves against random ones, under the names of both attributes."""
    return {f"difference_{name}": against_random_halves(a, b, everyone, 1) for name in ("Eyeglasses", "Male")}


def split_defects(attributes: pd.DataFrame, identities: pd.Series) -> dict[str, int]:
    """What T-other-attributes is judged by, added up over all splits."""
    table, _ = every_attribute(attributes, identities, seed=1)
    counts = {name: int(table[name].sum()) for name in ("impure", "unbalanced", "shared")}
    return {"splits_built": len(table), **counts}


def halves_of(attributes: pd.DataFrame, attribute: str) -> list[str]:
    """A list of halves by one attribute, as published ones are: first the images with it, then as many without."""
    groups = by_attribute(list(attributes.index), attributes[attribute], 0, attribute=attribute).groups
    return [*groups["A"], *groups["B"]]


def made_up_lists() -> tuple[dict[str, Sequence[str]], pd.DataFrame]:
    """Lists of halves by two of forty attributes and one of all images in order, and the attributes."""
    attributes, _ = made_up_attributes()
    named = ["Eyeglasses", "Male", "Smiling", *attributes.columns[3:]]
    attributes = attributes.set_axis(named, axis=1)
    lists: dict[str, Sequence[str]] = {
        "list_eyeglasses_yesno.txt": halves_of(attributes, "Eyeglasses"),
        "list_male_yesno.txt": halves_of(attributes, "Male"),
        "train_filenames.txt": list(attributes.index),
    }
    return lists, attributes


def made_up_attributes(people: int = 30) -> tuple[pd.DataFrame, pd.Series]:
    """Forty attributes of random rates over twenty images a person, and who is on them."""
    source = np.random.default_rng(0)
    names = numbered_names(20 * people)
    values = np.where(source.random((len(names), 40)) < source.random(40), 1, -1)
    values[0], values[1] = 1, -1
    table = pd.DataFrame(values, index=names, columns=[f"attribute {k}" for k in range(40)])
    return table, pd.Series(np.arange(len(names)) // 20, index=names)

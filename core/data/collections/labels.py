"""Identities and attributes of pictures: from a column stored with them, their folder, or a part of their name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from core.data.collections.collection import Collection
from core.errors import InputError

MOST_CLASSES = 100  # of one attribute; more are a mistake: a number or a name is no class
_TWO = ({"0", "1"}, {"-1", "1"}, {"False", "True"})
Tell = Callable[[str], None]


def identities_from(pictures: Collection, at: Sequence[int], source: str, tell: Tell) -> np.ndarray:
    """(n,) int64 identities of the pictures at these positions.

    Args:
        pictures: the collection.
        at: positions in it.
        source: `folder`; a column's name; or a regular expression whose one group is the identity in a name.
        tell: called with a sentence where identities that are no whole numbers are given numbers.

    Raises:
        InputError: if the source cannot be read, or says nothing of a picture.
    """
    texts = _texts(pictures, at, source, "--identity-from")
    if all(re.fullmatch(r"[+-]?\d{1,18}", text) for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    people = sorted(set(texts))
    number = {person: k for k, person in enumerate(people)}
    tell(
        f"identities are numbered in the order of their names: {people[0]!r} is 0, {people[-1]!r} is {len(people) - 1}"
    )
    return np.array([number[text] for text in texts], dtype=np.int64)


def attributes_from(pictures: Collection, at: Sequence[int], sources: Sequence[str]) -> pd.DataFrame | None:
    """One int8 column a class, values -1 and +1; a column that has two values, 0 and 1 or -1 and 1, stays one column.

    Args:
        pictures: the collection.
        at: positions in it.
        sources: `folder`; a column's name; or a regular expression whose one group is the class in a name. The columns
            are called `folder=NAME`, `COLUMN=VALUE`, `name=VALUE`.

    Raises:
        InputError: if a source cannot be read, says nothing of a picture, or has too many classes.
    """
    columns: dict[str, np.ndarray] = {}
    for source in sources:
        texts = np.array(_texts(pictures, at, source, "--attribute-from"), dtype=object)
        classes = sorted(set(texts))
        if len(classes) > MOST_CLASSES:
            raise InputError(
                f"--attribute-from {source}: found {len(classes):,} classes, expected at most {MOST_CLASSES}"
            )
        if source in pictures.columns and any(set(classes) <= two for two in _TWO):
            columns[source] = np.where((texts == "1") | (texts == "True"), 1, -1)
            continue
        called = "name" if "(" in source else source
        columns |= {f"{called}={value}": np.where(texts == value, 1, -1) for value in classes}
    return pd.DataFrame(columns).astype(np.int8) if columns else None


def _texts(pictures: Collection, at: Sequence[int], source: str, option: str) -> list[str]:
    """What a source says of each picture, as text."""
    names = [pictures.names[k] for k in at]
    if "(" in source:
        return _in_names(names, source, option)
    if source in pictures.columns:
        column = pictures.columns[source]
        texts = [str(column[k]) for k in at]
        texts = [text.removesuffix(".0") for text in texts] if column.dtype.kind == "f" else texts
    elif source == "folder":
        texts = [name.rpartition("/")[0] for name in names]
    else:
        known = ", ".join(["folder", *pictures.columns])
        raise InputError(
            f"{option} {source}: {pictures.path} has no such column; expected one of {known}, or a pattern with a group"
        )
    if "" in texts:
        raise InputError(f"{option} {source}: says nothing of {names[texts.index('')]!r} in {pictures.path}")
    return texts


def _in_names(names: Sequence[str], pattern: str, option: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"{option} {pattern}: not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise InputError(f"{option} {pattern}: found {compiled.groups} groups, expected one, like n(\\d+)_")
    matches = [compiled.search(name) for name in names]
    found = [match[1] or "" if match else "" for match in matches]
    if "" in found:
        raise InputError(f"{option} {pattern}: found nothing in {names[found.index('')]!r}; expected it in each name")
    return found

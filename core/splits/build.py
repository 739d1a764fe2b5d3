"""Two groups of one corpus: builders, and a directory form that rebuilds byte for byte.

Follows Topeza (2025), section 3.4. Nothing here draws from a random stream, whose numbers may change with the version
of a library: wherever an order or a choice is random, names (or identities) are sorted by the SHA-256 of
"seed, purpose, name". The result is the same on every platform and does not depend on the order of the input.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from core.errors import InputError
from core.files import names_sha256, write_atomic
from core.splits.balance import SEEDS, balance

SCHEMA = "samenoise/split/1"
CORPUS = "corpus.path"
DEFINITIONS = ("ends", "consecutive")
SHUFFLE = "names sorted by SHA-256 of seed, purpose and name"
_BREAK = re.compile(r"[\n\r]")


@dataclass(frozen=True)
class Split:
    """Named groups of image names, each in its order.

    Attributes:
        kind: `baseline`, `attribute` or `identity`.
        groups: group name -> image names in training order.
        parameters: everything besides the seed that the builder was given or decided; JSON-able.
        seed: None where nothing was drawn.
        order_sha256: `core.files.names_sha256` of the corpus order the groups were built from.
    """

    kind: str
    groups: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    seed: int | None
    order_sha256: str

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each group."""
        return {group: len(names) for group, names in self.groups.items()}


def baseline(names: Sequence[str], n: int, definition: str = "ends") -> Split:
    """Two groups of `n` images taken from the order of the corpus; nothing is shuffled.

    `consecutive` is Topeza (2025), section 3.4, as its formula says: images 1..n and n+1..2n. `ends` is what its text
    says and what the published experiments used: the first n and the last n.

    Raises:
        InputError: for n outside 1..len(names) // 2, an unknown definition, or names that are not unique.
    """
    names = _names(names)
    if definition not in DEFINITIONS:
        raise InputError(f"definition: found {definition!r}; expected one of {', '.join(DEFINITIONS)}")
    _size(n, len(names) // 2, f"half of the {len(names):,} images")
    second = names[len(names) - n :] if definition == "ends" else names[n : 2 * n]
    parameters = {"n": int(n), "definition": definition}
    return Split("baseline", {"A": names[:n], "B": second}, parameters, None, names_sha256(names))


def by_attribute(
    names: Sequence[str], labels: ArrayLike, seed: int, *, attribute: str = "attribute", n: int | None = None
) -> Split:
    """A holds images with the attribute, B images without: the minority side whole, as many of the majority.

    Topeza (2025), section 3.4: each side is shuffled and its order kept. No near-duplicates are removed. Pass `n` to
    take only the first n of each side.

    Args:
        names: unique image names.
        labels: (len(names),) two-valued; the larger value (+1, 1, True) means 'with'.
        seed: decides which majority images are taken, and both orders.
        attribute: its name, for messages and `parameters`.
        n: images a side; None takes the whole minority.

    Raises:
        InputError: if the attribute does not have exactly two values, or fewer than n images have one of them.
    """
    names = _names(names)
    table = {attribute: _column(labels, names, "labels")}
    return by_attributes(names, table, seed, n=n)[attribute]


def by_attributes(
    names: Sequence[str], labels: Mapping[str, ArrayLike], seed: int, *, n: int | None = None
) -> dict[str, Split]:
    """`by_attribute` for many attributes of one corpus, whose names are hashed once."""
    names = _names(names)
    order_sha256 = names_sha256(names)
    orders = {group: _hash_order(names, seed, f"attribute/{group}") for group in "AB"}
    splits = {}
    for attribute, column in labels.items():
        values = _column(column, names, "labels")
        kinds = np.unique(values)
        if len(kinds) != 2:
            found = f"found {len(kinds)} distinct value(s) {kinds[:3].tolist()}"
            raise InputError(f"attribute {attribute}: {found}; expected two")
        sides = {
            group: orders[group][values[orders[group]] == kind] for group, kind in (("A", kinds[1]), ("B", kinds[0]))
        }
        minority = min(len(side) for side in sides.values())
        size = minority if n is None else n
        _size(size, minority, f"the smaller side of {attribute}")
        parameters = {
            "attribute": attribute,
            "n": int(size),
            "available": {group: len(side) for group, side in sides.items()},
            "shuffle": SHUFFLE,
        }
        groups = {group: tuple(names[i] for i in side[:size].tolist()) for group, side in sides.items()}
        splits[attribute] = Split("attribute", groups, parameters, int(seed), order_sha256)
    return splits


def by_identity(names: Sequence[str], identities: ArrayLike, seed: int, *, n: int | None = None) -> Split:
    """Every identity is in exactly one group, and the groups hold nearly equally many images (`core.splits.balance`).

    The groups differ by what Graham's greedy order leaves or by at most one image in a hundred, whichever is more.
    `parameters` records which rule divided the identities and how many distinct partitions the seeds 0 to 9 give.
    Topeza (2025), section 5.3, does not say how its split was balanced.

    Args:
        names: unique image names.
        identities: (len(names),) integers; no value may be missing.
        seed: decides which identities go together, as far as their sizes leave a choice, and both orders.
        n: images a group, taken from the front of its order; None takes all.

    Raises:
        InputError: if there are fewer than two identities, or a group has fewer than n images.
    """
    names = _names(names)
    values = _column(identities, names, "identities")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"identities: {int((~np.isfinite(values)).sum())} of {len(values)} are missing; expected none")
    people, owner, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(people) < 2:
        raise InputError(f"identities: found {len(people)}; a split by identity needs two or more")
    found = balance(people.tolist(), counts, int(seed))
    side = found.side
    totals = [int(counts[side == code].sum()) for code in (0, 1)]
    _size(min(totals) if n is None else n, min(totals), "the smaller group")
    groups = {
        group: hash_order((names[i] for i in np.flatnonzero(side[owner] == code)), seed, f"identity/{group}")[:n]
        for code, group in enumerate("AB")
    }
    parameters = {
        "n": None if n is None else int(n),
        "identities": {group: int((side == code).sum()) for code, group in enumerate("AB")},
        "available": dict(zip("AB", totals, strict=True)),
        "balancing": found.method,
        "partitions": {"seeds_tried": SEEDS, "distinct": found.distinct},
        "shuffle": SHUFFLE,
    }
    return Split("identity", groups, parameters, int(seed), names_sha256(names))


def hash_order(names: Iterable[str], seed: int, purpose: str) -> tuple[str, ...]:
    """Names in the order of the SHA-256 of (seed, purpose, name): a permutation that no library version can change."""
    names = list(names)
    return tuple(names[i] for i in _hash_order(names, seed, purpose).tolist())


def _hash_order(names: Sequence[str], seed: int, purpose: str) -> np.ndarray:
    """(len(names),) positions of the names in the order of their hashes."""
    prefix = f"{int(seed)}\0{purpose}\0".encode()
    digests = b"".join([hashlib.sha256(prefix + name.encode()).digest() for name in names])
    words = np.frombuffer(digests, dtype=">u8").reshape(-1, 4)  # lexsort's last key counts first
    return np.lexsort(words.T[::-1])


def save_split(split: Split, directory: Path | str, *, corpus: Path | str | None = None) -> Path:
    """Write one list a group (`A.txt`, one name a line, LF) and `split.json`; the same split gives the same bytes.

    `corpus` is the saved corpus that was split, so that `samenoise train --split` finds it; its path, relative to the
    directory where that is possible, goes to a file of its own, as it says nothing about the split.

    Returns:
        The directory.

    Raises:
        InputError: for a group name that is no plain file name, or a name that does not fit on one line.
    """
    directory = Path(directory)
    described: dict[str, Any] = {}
    for group, names in split.groups.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", group):
            raise InputError(f"group {group!r}: expected letters, digits, '_' and '-' only")
        _names(names)
        described[group] = {"file": f"{group}.txt", "images": len(names), "sha256": names_sha256(names)}
    for group, names in split.groups.items():
        write_atomic(directory / f"{group}.txt", "".join(f"{name}\n" for name in names))
    record = {
        "schema": SCHEMA,
        "kind": split.kind,
        "parameters": dict(split.parameters),
        "seed": split.seed,
        "order_sha256": split.order_sha256,
        "groups": described,
    }
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False)
    write_atomic(directory / "split.json", text + "\n")
    if corpus is not None:
        write_atomic(directory / CORPUS, os.path.relpath(Path(corpus).resolve(), directory.resolve()) + "\n")
    return directory


def corpus_of(directory: Path | str) -> Path:
    """The saved corpus that a split directory was built from.

    Raises:
        InputError: if it is not recorded, or not where it was.
    """
    path = Path(directory) / CORPUS
    try:
        corpus = (path.parent / path.read_text(encoding="utf-8").strip()).resolve()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; say what was split with --corpus") from error
    if not corpus.is_dir():
        raise InputError(f"{path}: names {corpus}, which is no directory; say what was split with --corpus")
    return corpus


def load_split(directory: Path | str) -> Split:
    """Read a split directory; every list is held against the hash in `split.json`.

    Raises:
        InputError: naming the file, if it is missing, not of this format, or does not match its hash.
    """
    path = Path(directory) / "split.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; expected a directory written by `samenoise split`") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise InputError(f"{path}: expected schema {SCHEMA!r}")
    groups: dict[str, tuple[str, ...]] = {}
    try:
        for group, described in record["groups"].items():
            groups[group] = _read_group(path.parent / Path(described["file"]).name, described["sha256"])
        return Split(record["kind"], groups, record["parameters"], record["seed"], record["order_sha256"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: a key is missing or of the wrong type: {error}") from error


def _read_group(path: Path, sha256: str) -> tuple[str, ...]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected the list that split.json names") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise InputError(f"{path}: its SHA-256 is {found}; split.json says {sha256}: the list was changed")
    return tuple(raw.decode("utf-8").split("\n")[:-1])


def _names(names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(names)
    if not names:
        raise InputError("names: found none; expected one or more")
    if not all(isinstance(name, str) and name for name in names) or _BREAK.search("\0".join(names)):
        bad = [name for name in names if not isinstance(name, str) or not name or _BREAK.search(name)]
        raise InputError(f"names: {bad[0]!r} is no name that fits on a line (and {len(bad) - 1} more)")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(
            f"names: {len(names) - len(set(names))} of {len(names)} stand twice, the first is {twice!r}; "
            "expected unique names"
        )
    return names


def _column(values: ArrayLike, names: Sequence[str], what: str) -> np.ndarray:
    column = np.asarray(values)
    if column.shape != (len(names),):
        raise InputError(f"{what}: found shape {column.shape}; expected one value for each of {len(names)} names")
    return column


def _size(n: int, most: int, of_what: str) -> None:
    if not 1 <= n <= most:
        raise InputError(f"n: found {n:,}; expected 1 to {most:,} ({of_what})")

"""The grid of an experiment: which models there are to train, and on which images each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.data.corpus import Corpus
from core.errors import InputError
from core.files import names_sha256
from core.splits.build import Split, baseline

HELD_OUT = 512  # images of neither group that the history is measured on; the published code has a batch of them


@dataclass(frozen=True)
class Cell:
    """One model: its images by name, its seed, and what people call it."""

    names: tuple[str, ...]
    seed: int
    label: dict[str, Any]


def grid(
    corpus: Corpus,
    split: Split | None,
    *,
    sizes: Sequence[int],
    groups: Sequence[str] = ("A", "B"),
    definition: str = "ends",
    seed: int = 0,
    scale: str = "",
) -> list[Cell]:
    """Cells of an experiment, sizes rising, groups inside sizes; group A has the seed, B the next one.

    Without a split, the halves of every size are built from the order of the corpus (T 3.4). With one, its groups
    are cut to each size: the first names, except that B of `ends` keeps the last, which is the same as building it.

    Raises:
        InputError: for a size that a group cannot fill, or a group that is not there.
    """
    cells = []
    for n in sorted(set(sizes)):
        chosen = split or baseline(corpus.names, n, definition)
        for group in groups:
            if group not in chosen.groups:
                raise InputError(f"groups: got {group!r}, expected some of {', '.join(chosen.groups)}")
            names = chosen.groups[group]
            if not 1 <= n <= len(names):
                raise InputError(f"sizes: got {n:,}, but group {group} of the split has {len(names):,} images")
            last = chosen.kind == "baseline" and chosen.parameters.get("definition") == "ends" and group == "B"
            label = {"scale": scale, "protocol": protocol(chosen), "n": n, "group": group}
            if chosen.kind == "baseline":
                label["definition"] = chosen.parameters.get("definition")
            if split and (chosen.kind != "baseline" or chosen.order_sha256 != names_sha256(corpus.names)):
                # two splits of one kind are two experiments
                every = [name for members in chosen.groups.values() for name in members]
                label["split"] = names_sha256(every)[:12]
            cells.append(Cell(names[-n:] if last else names[:n], seed + list(chosen.groups).index(group), label))
    return cells


def protocol(split: Split) -> str:
    """`random` for baseline halves, `identity`, or the name of the attribute."""
    return {"baseline": "random", "attribute": str(split.parameters.get("attribute"))}.get(split.kind, split.kind)


def held_out(corpus: Corpus, cells: Sequence[Cell], count: int = HELD_OUT) -> list[str]:
    """The first names of the corpus that no cell trains on; fewer than `count`, or none, where the cells take all."""
    used = {name for cell in cells for name in cell.names}
    return [name for name in corpus.names if name not in used][:count]

"""The grid of an experiment: which models there are to train, and on which images each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.data.corpus import Corpus
from core.errors import InputError
from core.files import names_sha256
from core.splits.build import Split, baseline
from core.training.cells import GROUPS, RANDOM, Cell, training_seed

HELD_OUT = 512  # images of neither group that the history is measured on; the published code has a batch of them


@dataclass(frozen=True)
class Planned:
    """One model to train: its cell, its images by name, its seed, and what people call it."""

    cell: Cell
    names: tuple[str, ...]
    seed: int
    label: dict[str, Any]


def grid(
    corpus: Corpus,
    split: Split | None,
    *,
    sizes: Sequence[int],
    groups: Sequence[str] = GROUPS,
    definition: str = "ends",
    seed: int = 0,
    trainings: int = 1,
    scale: str = "",
) -> list[Planned]:
    """The models of an experiment: trainings of a size and group that differ in their seed, groups, sizes rising.

    Group A has the seed, B the next one, and every further training the next two.

    Without a split, the halves of every size are built from the order of the corpus (T 3.4). With one, its groups
    are cut to each size: the first names, except that B of `ends` keeps the last, which is the same as building it.

    Raises:
        InputError: for a size that a group cannot fill, or a group that is not there.
    """
    if trainings < 1:
        raise InputError(f"trainings: got {trainings}, expected at least 1")
    planned = []
    for n, training in [(n, k) for k in range(trainings) for n in sorted(set(sizes))]:
        chosen = split or baseline(corpus.names, n, definition)
        for group in groups:
            if group not in chosen.groups:
                raise InputError(f"groups: got {group!r}, expected some of {', '.join(chosen.groups)}")
            names = chosen.groups[group]
            if not 1 <= n <= len(names):
                raise InputError(f"sizes: got {n:,}, but group {group} of the split has {len(names):,} images")
            last = chosen.kind == "baseline" and chosen.parameters.get("definition") == "ends" and group == GROUPS[1]
            cell = Cell(protocol(chosen), n, group, training)
            label: dict[str, Any] = {"scale": scale, **cell.label}
            if chosen.kind == "baseline":
                label["definition"] = chosen.parameters.get("definition")
            if split and (chosen.kind != "baseline" or chosen.order_sha256 != names_sha256(corpus.names)):
                # two splits of one kind are two experiments
                every = [name for members in chosen.groups.values() for name in members]
                label["split"] = names_sha256(every)[:12]
            own = training_seed(seed, list(chosen.groups).index(group), training)
            planned.append(Planned(cell, names[-n:] if last else names[:n], own, label))
    return planned


def protocol(split: Split) -> str:
    """`random` for baseline halves, `identity`, or the name of the attribute."""
    return {"baseline": RANDOM, "attribute": str(split.parameters.get("attribute"))}.get(split.kind, split.kind)


def held_out(corpus: Corpus, planned: Sequence[Planned], count: int = HELD_OUT) -> list[str]:
    """The first names of the corpus that no model is to train on: at most `count`, none where the models take all."""
    used = {name for model in planned for name in model.names}
    return [name for name in corpus.names if name not in used][:count]

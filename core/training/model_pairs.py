"""Which models of a run store are a pair: trained alike, on the two groups of one split.

Models of other sizes that have all this in common too are one experiment, here a setting.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from core.training.cells import GROUPS, training_seed
from core.training.runs import Record


@dataclass(frozen=True, order=True)
class Setting:
    """What the two models of a pair have in common.

    Attributes:
        scale: a preset's name, or `published`.
        protocol: `random`, `identity` or the name of an attribute.
        split: what else tells two splits apart: definition, parameters, the published folder.
        options: the training configuration as JSON; of an imported model its architecture, as no more is known.
        corpus: directory of the corpus, or nothing.
        seed: that of group A in the first training, from which all others follow; -1 where it is not known.
        training: which of several that differ in their seed alone, from 0.
    """

    scale: str
    protocol: str
    split: str
    options: str
    corpus: str
    seed: int
    training: int = 0


def setting(record: Record) -> Setting:
    """The setting of one finished model."""
    label = record.label
    options = record.config.to_dict() if record.config else (record.model or {}).get("architecture")
    group, training = int(label.get("group") == GROUPS[1]), int(label.get("training", 0))
    split = {key: label[key] for key in ("definition", "split", "data") if label.get(key) is not None}
    return Setting(
        str(label.get("scale", "")),
        str(label.get("protocol", "")),
        json.dumps(split, sort_keys=True),
        json.dumps(options, sort_keys=True),
        str(record.data.get("corpus", "")),
        -1 if record.seed is None else record.seed - training_seed(0, group, training),
        training,
    )


def pairs(records: Iterable[Record]) -> dict[Setting, dict[int, tuple[Record, Record]]]:
    """The complete pairs (A, B) among finished models, by setting and set size; sizes rise."""
    found: dict[Setting, dict[int, dict[str, Record]]] = {}
    for record in records:
        if record.model and record.label.get("group") in GROUPS and "n" in record.label:
            sizes = found.setdefault(setting(record), {})
            sizes.setdefault(int(record.label["n"]), {})[str(record.label["group"])] = record
    complete = {
        key: {n: (groups["A"], groups["B"]) for n, groups in sorted(sizes.items()) if len(groups) == len(GROUPS)}
        for key, sizes in found.items()
    }
    return {key: sizes for key, sizes in complete.items() if sizes}


def partner(record: Record, records: Iterable[Record]) -> Record | None:
    """The model of the other group of the same size, trained alike; None where there is none."""
    for sizes in pairs(records).values():
        for a, b in sizes.values():
            if record.key in (a.key, b.key):
                return b if record.key == a.key else a
    return None

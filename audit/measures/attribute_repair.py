"""Attribute files with rows broken over several lines, and how readers fare with them (Topeza 2025, section 3.1)."""

from collections.abc import Callable, Sequence

import numpy as np

from audit.measures.record import cite, record
from core.data.attributes import ATTRIBUTES, AttributeTable, repair_attribute_text
from core.errors import InputError
from fixtures.published.files import Published
from reports.record import ClaimRecord


def attribute_text(names: Sequence[str], values: np.ndarray) -> str:
    """An attribute file in CelebA's own layout."""
    rows = [f"{name} {' '.join(f'{v:2d}' for v in row)}" for name, row in zip(names, values.tolist(), strict=True)]
    return "\n".join([str(len(names)), " ".join(ATTRIBUTES) + " ", *rows, ""])


def break_rows(text: str, rng: np.random.Generator, rows: int, most: int = 4) -> str:
    """Put 1 to `most` line ends, some before or after blanks, some in place of one, into `rows` random rows."""
    lines = text.split("\n")
    for at in rng.choice(np.arange(2, len(lines) - 1), size=rows, replace=False):
        line = lines[at]
        for where in sorted(rng.integers(1, len(line), rng.integers(1, most + 1)), reverse=True):
            blank = line[where] == " " and rng.random() < 0.5
            line = line[:where] + " " * rng.integers(0, 2) + "\n" + line[where + blank :]
        lines[at] = line
    return str(rng.choice(["\n", "\r\n"])).join(lines)


def wrong_rows(reader: Callable[[str], AttributeTable], text: str, names: Sequence[str], values: np.ndarray) -> int:
    """Rows that the reader gets wrong, all of them where it gives up or finds another number of rows."""
    try:
        read = reader(text)
    except (InputError, ValueError):
        return len(names)
    if read.names != tuple(names) or read.values.shape != values.shape:
        return len(names)
    return int((read.values != values).any(axis=1).sum())


def repair(text: str) -> AttributeTable:
    """Repair an attribute text with the project's reader, which the claim tests."""
    return repair_attribute_text(text, source="attributes")


def repair_property(reader: Callable[[str], AttributeTable], tables: int, seed: int) -> dict[str, int]:
    """Break random tables, read them; take one value out, and read that."""
    rng = np.random.default_rng(seed)
    wrong = accepted = broken = 0
    for _ in range(tables):
        n = int(rng.integers(1, 30))
        names = [f"{k:06d}.jpg" for k in rng.choice(10**6, n, replace=False)]
        values = rng.choice(np.array([-1, 1], dtype=np.int8), size=(n, 40))
        rows = int(rng.integers(1, n + 1))
        broken += rows
        wrong += wrong_rows(reader, break_rows(attribute_text(names, values), rng, rows), names, values)
        lines = attribute_text(names, values).split("\n")
        words = lines[-2].split()
        del words[int(rng.integers(1, 41))]
        lines[-2] = " ".join(words)
        try:
            reader(break_rows("\n".join(lines), rng, rows))
            accepted += 1
        except InputError as error:
            # whatever the reason given, it names a line
            accepted += "line " not in str(error)
    return {"rows_broken": broken, "rows_wrong": wrong, "short_rows_accepted": accepted}


def lost_padding(text: str) -> int:
    """Rows in which a blank before a +1 is missing, the first value apart (no row pads that one)."""
    rows = [line[10:] for line in text.split("\n")[2:] if line]
    return sum("1 1" in row for row in rows)


def record_repair(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    """Broken rows read back: of random tables, and of the published file (T-attribute-repair)."""
    tables = 400
    found = repair_property(repair, tables, seed=0)
    note = f"{found.pop('rows_broken')} rows of {tables} random tables broken by one to four line ends each"
    record(evidence, found, kind="property", n=tables, seeds="0", note=note)
    if published_or_none is None:
        return
    cite(evidence, "attributes.zip")
    table, n = published_or_none.attribute_table, len(published_or_none.attribute_table.names)
    forty = table.values.shape[1] == 40 and np.isin(table.values, (-1, 1)).all()
    evidence.add("rows", n, kind="published", n=n)
    evidence.add("rows_without_forty_values", 0 if forty else n, kind="published", n=n)
    evidence.add(
        "rows_broken_as_published",
        len(table.repaired),
        kind="published",
        n=n,
        note="no row of the published file is broken: it is the repaired one, the breaks themselves are not published",
    )
    seams = lost_padding(published_or_none.attribute_text)
    evidence.add(
        "rows_with_a_lost_blank",
        seams,
        kind="published",
        n=n,
        note="values are padded to two characters, except once in each of these rows, before a +1 inside the row: what "
        "joining two pieces with one blank would leave behind (before a -1 it would leave no trace)",
    )
    rows = 2000
    text = break_rows(published_or_none.attribute_text, np.random.default_rng(1), rows)
    evidence.add(
        "rows_wrong_after_breaking",
        wrong_rows(repair, text, table.names, table.values),
        kind="published",
        n=rows,
        seeds="1",
        note=f"the published file with {rows} rows broken at random, repaired and compared with itself",
    )

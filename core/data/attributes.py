"""Reads an attribute file in CelebA's layout and repairs rows that line ends have broken (after T 3.1)."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.data.repeated import refuse_repeated
from core.errors import InputError

# fmt: off
ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on
NAME = re.compile(r"[0-9]{6}\.(?:jpg|png)")
_NAME_LENGTH = 10
_VALUE_OR_NAME = re.compile(rf"-?1?|{NAME.pattern}")


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """An attribute file, read and repaired.

    Attributes:
        attributes: the names of the columns, in the file's order.
        names: image names, one a row, unique.
        values: (rows, columns) int8, each -1 or +1.
        repaired: line numbers (from 1) at which a row that needed repair begins.
        counted: whether the file says how many rows it has; where not, rows lost at its end go unnoticed.
    """

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    repaired: tuple[int, ...]
    counted: bool = True

    def frame(self) -> pd.DataFrame:
        """Return the values as a table with the image names as its index."""
        return pd.DataFrame(self.values, index=pd.Index(self.names, name="name"), columns=pd.Index(self.attributes))


def repair_attribute_text(text: str, *, source: str) -> AttributeTable:
    """Read an attribute file in CelebA's layout (a count, the attribute names, a row an image), repairing broken rows.

    The count may be missing, as it is in a public copy; everything else is checked all the same.

    Line ends may stand anywhere: between tokens, inside a name, inside a `-1`, in the count or in CelebA's own header,
    several times in a row. A repair is exact because a name has a fixed form and a row a fixed number of values, so
    that at most one reading of the tokens exists; what has none is refused.

    Raises:
        InputError: a row cannot be repaired (the message names its line), a name occurs twice, or the count on
            the first line is not the number of rows.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    if not text.isascii():
        number = next(number for number, row in enumerate(text.split("\n"), 1) if not row.isascii())
        raise InputError(f"{source}, line {number}: found a character outside ASCII, expected names and values")
    if not text.endswith("\n"):
        text += "\n"
    count, attributes, offset = _read_header(text, source)
    first_line = text.count("\n", 0, offset) + 1
    body = text[offset:].encode("ascii")
    starts, visible, clean, values = _read_clean_rows(np.frombuffer(body, np.uint8), len(attributes))
    rows = [
        (first_line + at, body[starts[at] : starts[at] + _NAME_LENGTH].decode(), row)
        for at, row in zip(np.flatnonzero(clean).tolist(), values, strict=True)
    ]
    stops = np.append(starts[1:], len(body))
    broken: list[tuple[int, str, np.ndarray]] = []
    run: list[tuple[int, str]] = []  # broken lines with no unbroken row between them
    previous = -1
    for line in map(int, np.flatnonzero(visible & ~clean)):
        if run and clean[previous:line].any():
            broken += _repair_run(run, len(attributes), source)
            run = []
        run.append((first_line + line, body[starts[line] : stops[line]].decode()))
        previous = line
    broken += _repair_run(run, len(attributes), source)
    rows = sorted(rows + broken, key=lambda row: row[0])
    names = tuple(name for _, name, _ in rows)
    refuse_repeated(names, [line for line, _, _ in rows], source)
    if len(rows) != (len(rows) if count is None else count) or not rows:
        says = "no number of" if count is None else count
        raise InputError(f"{source}, line 1: says {says} rows, found {len(rows)}")
    return AttributeTable(
        attributes,
        names,
        np.stack([row for _, _, row in rows]) if broken else values,
        tuple(line for line, _, _ in broken),
        count is not None,
    )


def _read_header(text: str, source: str) -> tuple[int | None, tuple[str, ...], int]:
    """Return the count (None if there is none), the attribute names and the offset of the first row's line."""
    # CelebA's own header is known letter by letter, so line ends inside it, or inside the count, do no harm
    letters = r"\s*".join(map(re.escape, "".join(ATTRIBUTES)))
    if known := re.match(rf"\s*((?:[0-9]\s*)+?){letters} *\n", text):
        return int(re.sub(r"\s", "", known[1])), ATTRIBUTES, known.end()
    if known := re.match(rf"\s*{letters} *\n", text):
        return None, ATTRIBUTES, known.end()
    bare = re.match(rf"\s*([^\n]*[^\s0-9][^\n]*)\n\s*{NAME.pattern} ", text)
    if bare and _are_attributes(words := tuple(bare[1].split())):
        return None, words, bare.end(1) + 1
    count = re.match(r"\s*([0-9]+) *\n", text)
    if not count:
        found = text[:40].split("\n")[0]
        raise InputError(f"{source}, line 1: found {found!r}, expected the number of images")
    header = re.compile(r"[^\n]*\n").match(text, count.end())
    words = tuple(header[0].split()) if header else ()
    if not header or not _are_attributes(words):
        line = text.count("\n", 0, count.end()) + 1
        raise InputError(f"{source}, line {line}: found {len(words)} words, expected unique attribute names")
    return int(count[1]), words, header.end()


def _are_attributes(words: tuple[str, ...]) -> bool:
    return 0 < len(words) == len(set(words)) and not any(map(_VALUE_OR_NAME.fullmatch, words))


def _read_clean_rows(body: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the unbroken rows among the lines of `body`, (bytes,) uint8 that ends in a line end, all at once.

    Returns:
        starts, visible, clean: (lines,), the offset of each line, whether it is not blank, whether it is an
        unbroken row; values: (unbroken rows, width) int8.
    """
    if not len(body):
        none = np.zeros(0, dtype=bool)
        return np.zeros(0, dtype=np.int64), none, none, np.zeros((0, width), dtype=np.int8)
    starts = np.concatenate([[0], np.flatnonzero(body == ord("\n"))[:-1] + 1])
    head = body[np.minimum(starts[:, None] + np.arange(_NAME_LENGTH + 1), len(body) - 1)]
    named = ((head[:, :6] >= ord("0")) & (head[:, :6] <= ord("9"))).all(axis=1)
    suffixes = [np.frombuffer(suffix, np.uint8) for suffix in (b".jpg ", b".png ")]
    named &= np.any([(head[:, 6:] == suffix).all(axis=1) for suffix in suffixes], axis=0)
    blank, one, dash = body == ord(" "), body == ord("1"), body == ord("-")
    space = blank | (body == ord("\n"))
    visible = np.logical_or.reduceat(~space, starts)
    fault = ~(space | one | dash)
    fault[1:] |= one[1:] & ~(blank | dash)[:-1]
    fault[:-1] |= one[:-1] & ~space[1:]
    fault[1:] |= dash[1:] & ~blank[:-1]
    fault[:-1] |= dash[:-1] & ~one[1:]
    in_name = starts[named][:, None] + np.arange(_NAME_LENGTH)
    fault[in_name] = False
    one[in_name] = False
    clean = named & ~np.logical_or.reduceat(fault, starts)
    clean &= np.add.reduceat(one, starts, dtype=np.int64) == width
    if not clean.all():
        one &= np.repeat(clean, np.diff(starts, append=len(body)))
    values = np.where(dash[np.flatnonzero(one) - 1], np.int8(-1), np.int8(1))
    return starts, visible, clean, values.reshape(-1, width)


def _repair_run(run: list[tuple[int, str]], width: int, source: str) -> list[tuple[int, str, np.ndarray]]:
    """Parse consecutive broken lines (number, text) into whole rows (line number, name, values)."""
    rows: list[tuple[int, str, list[int]]] = []
    name, values, dash, begin = "", [], False, 0  # type: str, list[int], bool, int

    def refuse(line: int, found: str) -> InputError:
        row = f"the row of {name!r} that begins at line {begin}"
        return InputError(f"{source}, line {line}: {found} in {row}, expected a name and {width} values")

    for line, text in run:
        for position, token in enumerate(text.split()):
            if not name or (len(values) == width and not dash):
                if position:
                    raise refuse(line, f"found {token!r} after {len(values)} values")
                name, values, begin = token, [], line
                rows.append((begin, name, values))
            elif not NAME.fullmatch(name):  # a line end stood inside the name
                if position:
                    raise refuse(line, f"found the name {name!r}")
                name += token
                rows[-1] = (begin, name, values)
            elif dash and position == 0 and token == "1":  # a line end stood inside a -1
                values.append(-1)
                dash = False
            elif not dash and token in ("1", "-1"):
                values.append(int(token))
            elif not dash and token == "-":
                dash = True
            else:
                raise refuse(line, f"found {token!r} after {len(values)} values")
            if len(name) > _NAME_LENGTH or (len(name) == _NAME_LENGTH and not NAME.fullmatch(name)):
                raise refuse(line, f"found the name {name!r}")
    if rows and (len(values) != width or dash):
        raise refuse(begin, f"found {len(values)} values")
    return [(line, name, np.array(values, dtype=np.int8)) for line, name, values in rows]

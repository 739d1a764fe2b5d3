"""Hypothesis strategies that write splits as people do, and a counter that shares nothing with the readers."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Row = tuple[str, str, str]  # image, identity, group
Counts = dict[tuple[str, str], tuple[int, int]]


def counted(rows: list[Row]) -> Counts:
    """(a, b) in order -> (images, identities) that are in both groups."""
    images, people = defaultdict(set), defaultdict(set)
    for image, who, group in rows:
        images[group].add(image)
        people[group].add(who)
    return {
        (a, b): (len(images[a] & images[b]), len(people[a] & people[b])) for a, b in combinations(sorted(images), 2)
    }


FORMS = (
    "im{}.png",
    "cat/{:04d}.jpg",
    "/data/x y/{}.png",
    "d.{}/v_{:03d}.avi",
    "{:06d}.jpg",
    "Ünï {}.tif",
    "clip_{}.mp3",
)
PEOPLE = ("P{}", "{}", "Aaron_{}", "id{:05d}", "IP_{}", "Zoë-{}")


@st.composite
def rows(draw: st.DrawFn, groups: tuple[str, ...] = ("train", "test", "val")) -> list[Row]:
    """Rows of two or more groups, an image always with one identity; images and identities may be in several groups."""
    n = draw(st.integers(2, 9))
    form, person = draw(st.sampled_from(FORMS)), draw(st.sampled_from(PEOPLE))
    who = draw(st.lists(st.integers(1, 6), min_size=n, max_size=n))
    names = [form.format(i + 1, i + 1) for i in range(n)]
    used = groups[: draw(st.integers(2, len(groups)))]
    pairs = [(i, g) for i in range(n) for g in used]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=2, max_size=14, unique=True))
    for number, group in enumerate(used):
        if not any(g == group for _, g in chosen):
            chosen.append((number % n, group))
    return [(names[i], person.format(who[i]), g) for i, g in chosen]


TEXTS = ("plain", "a, b", 'say "x"', '"open', 'close"', "it; is", "x|y", "two\nlines", "", '5" wide', '"whole"', "#tag")


@st.composite
def table(draw: st.DrawFn, of: list[Row], *, loose: bool = False) -> tuple[str, bytes]:
    """A file name and the bytes of a table with columns file, who, split and text, in a dialect of its own.

    `loose` writes values as they are, so that quotes need not pair up; delimiters and line ends are kept out of them.
    """
    apart = draw(st.sampled_from(",\t;|"))
    columns = draw(st.permutations(["file", "who", "split", "text"]))
    end = draw(st.sampled_from(["\n", "\r\n"] if loose else ["\n", "\r\n", "\r"]))
    texts = [draw(st.sampled_from(TEXTS)) for _ in of]
    if end == "\r":  # csv.writer would not quote the other line end
        texts = [text.replace("\n", " ") for text in texts]
    if loose:
        texts = ["".join(c for c in text if c not in ",\t;|\n") for text in texts]
    out = io.StringIO()
    cells = [
        dict(zip(("file", "who", "split", "text"), (*row, text), strict=True))
        for row, text in zip(of, texts, strict=True)
    ]
    index = draw(st.sampled_from(["", "unnamed", "r"]))
    if index == "r" and not any(cell[columns[-1]].strip() for cell in cells):
        index = ""  # two readings, which a test of its own holds to be refused
    header = ([""] if index == "unnamed" else []) + list(columns)
    body = [([str(i)] if index else []) + [cell[c] for c in columns] for i, cell in enumerate(cells)]
    if loose:
        out.write("".join(apart.join(line) + end for line in [header, *body]))
    else:
        how: Any = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
        csv.writer(out, delimiter=apart, lineterminator=end, quoting=how).writerows([header, *body])
    text = draw(st.sampled_from(["", "# made by a script" + end])) + out.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(end)
    suffix = draw(st.sampled_from(["csv", "txt"] + (["tsv"] if apart == "\t" else [])))
    return draw(packed(f"t.{suffix}", text))


@st.composite
def packed(draw: st.DrawFn, name: str, text: str) -> tuple[str, bytes]:
    """The text in one of the usual encodings and compressions."""
    coding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    data = text.encode(coding)
    how = draw(st.sampled_from(["", "", "", ".gz", ".bz2", ".xz", ".zip"]))
    if how == ".zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, data)
        return name + how, stream.getvalue()
    pack: Any = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[how]
    return name + how, pack(data)


LIST_FORMS = ("plain", "quoted", "dots", "back", "comma", "tab", "header", "table", "blanks", "comment")
LABELLED = ("comma", "tab", "table")


@st.composite
def listed(draw: st.DrawFn, names: list[str], forms: tuple[str, ...] = LIST_FORMS) -> str:
    """A list of names: plain, quoted, under a header, with `./`, with labels behind, with blanks and comments."""
    form = draw(st.sampled_from(forms))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = {
        "plain": names,
        "quoted": [f'"{name}"' for name in names],
        "dots": [f"./{name}" if not name.startswith("/") else name for name in names],
        "back": [name.replace("/", "\\") for name in names],
        "comma": [f"{name},{i % 3}" for i, name in enumerate(names)],
        "tab": [f"{name}\tlabel{i % 2}" for i, name in enumerate(names)],
        "header": ["filename", *names],
        "table": ["image,label", *(f"{name},{i % 2}" for i, name in enumerate(names))],
        "blanks": ["", *(f"  {name} " for name in names), ""],
        "comment": ["# by hand", *names],
    }[form]
    return end.join(lines) + draw(st.sampled_from(["", end]))


@st.composite
def identity_file(draw: st.DrawFn, of: list[Row]) -> str:
    """Whose each image is, `name identity` a line in one of the usual forms."""
    known = {image: who for image, who, _ in of}
    apart = draw(st.sampled_from([" ", "\t", ",", ";"]))
    head = draw(st.sampled_from(["", f"name{apart}identity\n"]))
    pairs = list(known.items())
    if apart != " " and draw(st.booleans()):
        return head.replace(f"name{apart}identity", f"identity{apart}name") + "".join(
            f"{w}{apart}{i}\n" for i, w in pairs
        )
    return head + "".join(f"{image}{apart}{who}\n" for image, who in pairs)


def write(folder: Path, name: str, data: bytes | str) -> Path:
    """A file in a folder."""
    path = folder / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path

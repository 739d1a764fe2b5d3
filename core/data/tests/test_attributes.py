"""The attribute reader: random breakage is repaired exactly or refused by line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.attributes import ATTRIBUTES, AttributeTable, repair_attribute_text
from core.errors import InputError


def attribute_text(names: list[str], values: np.ndarray, attributes: tuple[str, ...] = ATTRIBUTES) -> str:
    rows = [
        f"{name} {' '.join(f'{value:2d}' for value in row)}" for name, row in zip(names, values.tolist(), strict=True)
    ]
    return "\n".join([str(len(names)), " ".join(attributes) + " ", *rows, ""])


def table(n: int, seed: int, first: int = 1) -> tuple[list[str], np.ndarray]:
    values = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=(n, len(ATTRIBUTES)))
    return [f"{k:06d}.jpg" for k in range(first, first + n)], values


def same(read: AttributeTable, names: list[str], values: np.ndarray) -> bool:
    return read.names == tuple(names) and read.attributes == ATTRIBUTES and np.array_equal(read.values, values)


@st.composite
def broken_texts(draw: st.DrawFn) -> tuple[str, list[str], np.ndarray]:
    """A table and its text with line ends put in anywhere, blanks at line ends, other line ends, a cut final one."""
    n = draw(st.integers(1, 6))
    # names that begin and end like values: the worst case for telling a name from a value
    numbers = draw(st.lists(st.sampled_from([1, 11, 100000, 111111, 110001, 11111, 999999, 0]) | st.integers(0, 999999),
                            min_size=n, max_size=n, unique=True))  # fmt: skip
    values = np.array(
        draw(st.lists(st.lists(st.sampled_from([-1, 1]), min_size=40, max_size=40), min_size=n, max_size=n)), np.int8
    )
    names = [f"{number:06d}.{draw(st.sampled_from(['jpg', 'png']))}" for number in numbers]
    text = attribute_text(names, values)
    for at in sorted(draw(st.lists(st.integers(0, len(text) - 1), max_size=30)), reverse=True):
        blank = text[at : at + 1] == " " and draw(st.booleans())  # the line end replaces a blank, or is added to it
        text = text[:at] + "\n" * draw(st.integers(1, 2)) + text[at + blank :]
    lines = text.split("\n")
    for at in draw(st.lists(st.integers(0, len(lines) - 1), max_size=5)):
        lines[at] += draw(st.sampled_from([" ", "   ", "\t"]))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines)
    if draw(st.booleans()):
        text = text.rstrip()
    return text, names, values


@given(broken_texts())
@settings(max_examples=200, deadline=None)
def test_random_breakage_is_repaired_exactly(case: tuple[str, list[str], np.ndarray]) -> None:
    text, names, values = case
    assert same(repair_attribute_text(text, source="x"), names, values)


@given(st.integers(0, 10**6), st.integers(2, 5), st.data())
@settings(max_examples=60, deadline=None)
def test_a_lost_value_is_refused_wherever_lines_break(seed: int, n: int, data: st.DataObject) -> None:
    names, values = table(n, seed)
    lines = attribute_text(names, values).split("\n")
    row = data.draw(st.integers(0, n - 1))
    tokens = lines[2 + row].split()
    del tokens[data.draw(st.integers(1, 40))]
    for at in sorted(data.draw(st.lists(st.integers(1, 39), max_size=4)), reverse=True):
        tokens.insert(at, "\n")
    lines[2 + row] = " ".join(tokens)
    with pytest.raises(InputError, match=rf"line {3 + row}|begins at line {3 + row}"):
        repair_attribute_text("\n".join(lines), source="x")


@given(st.binary(max_size=400) | st.text(alphabet="-1 \n0.jpg", max_size=400).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_other_text_is_refused_or_read_never_a_crash(data: bytes) -> None:
    head = "1\n" + " ".join(ATTRIBUTES) + "\n"
    for text in (data.decode("latin-1"), head + data.decode("latin-1")):
        try:
            read = repair_attribute_text(text, source="x")
        except InputError:
            continue
        assert read.values.shape == (len(read.names), len(read.attributes)) and set(np.unique(read.values)) <= {-1, 1}


def test_clean_text_is_read_without_repair() -> None:
    names, values = table(500, 0)
    read = repair_attribute_text(attribute_text(names, values), source="x")
    assert same(read, names, values) and read.repaired == ()
    frame = read.frame()
    assert frame.shape == (500, 40) and list(frame.index) == names and (frame.dtypes == np.int8).all()


def test_repaired_rows_are_named_by_line() -> None:
    names, values = table(4, 1)
    lines = attribute_text(names, values).split("\n")
    lines[3] = lines[3][:60] + "\n" + lines[3][60:]
    read = repair_attribute_text("\n".join(lines), source="x")
    assert same(read, names, values) and read.repaired == (4,)


def test_rewrapped_file_is_repaired() -> None:
    names, values = table(50, 2)
    body = attribute_text(names, values).split("\n", 2)
    wrapped = "\n".join(piece for row in body[2].split("\n") for piece in [row[:33], row[33:77], row[77:]])
    assert same(repair_attribute_text("\n".join([*body[:2], wrapped]), source="x"), names, values)


def test_attributes_other_than_celebas() -> None:
    names, values = table(3, 3)
    text = attribute_text(names, values[:, :2], ("Tall", "Left_handed"))
    read = repair_attribute_text(text, source="x")
    assert read.attributes == ("Tall", "Left_handed") and np.array_equal(read.values, values[:, :2])


@pytest.mark.parametrize("attributes", [ATTRIBUTES, ("Tall", "Left_handed")])
def test_the_count_may_be_missing_and_that_is_known(attributes: tuple[str, ...]) -> None:
    names, values = table(30, 6)
    text = attribute_text(names, values[:, : len(attributes)], attributes)
    whole, bare = (repair_attribute_text(t, source="x") for t in (text, text.split("\n", 1)[1]))
    assert whole.counted and not bare.counted
    assert bare.names == whole.names and np.array_equal(bare.values, whole.values) and bare.attributes == attributes
    lines = text.split("\n")[1:]
    lines[4] = lines[4].rsplit(" ", 1)[0].rstrip()
    with pytest.raises(InputError, match=f"line 5: found {len(attributes) - 1} values"):
        repair_attribute_text("\n".join(lines), source="x")
    with pytest.raises(InputError, match=r"says no number of rows, found 0|expected the number of images"):
        repair_attribute_text(lines[0] + "\n", source="x")


@given(broken_texts())
@settings(max_examples=60, deadline=None)
def test_random_breakage_without_a_count_is_repaired_or_refused(case: tuple[str, list[str], np.ndarray]) -> None:
    text, names, values = case
    start = text.index("5")
    while text[:start].split() != [str(len(names))] and "".join(text[:start].split()) != str(len(names)):
        start = text.index("5", start + 1)
    assert same(repair_attribute_text(text[start:], source="x"), names, values)


CLEAN = attribute_text(*table(3, 4))
ROWS = CLEAN.split("\n")[2:5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: found '', expected the number of images"),
        ("3\n", "line 2: found 0 words"),
        (CLEAN.replace("3\n", "4\n", 1), "line 1: says 4 rows, found 3"),
        (CLEAN.replace(ROWS[1] + "\n", ""), "line 1: says 3 rows, found 2"),
        (CLEAN.replace(ROWS[1], ROWS[0]), "line 4: found 1 repeated names, first '000001.jpg'"),
        (CLEAN.replace(ROWS[1], ROWS[1].rsplit(" ", 1)[0].rstrip()), "line 4: found 39 values in the row of '000002"),
        (CLEAN.replace(ROWS[1], ROWS[1] + " -1"), "line 4: found '-1' after 40 values"),
        (CLEAN.replace(ROWS[1], ROWS[1] + "\n1"), "line 5: found 0 values in the row of '1'"),
        (CLEAN.replace(ROWS[1], ROWS[1][:-2] + " 0"), "line 4: found '0' after 39 values"),
        (CLEAN.replace("000002.jpg", "00002.jpg"), "line 4: found the name '00002.jpg'"),
        (CLEAN.replace("000002.jpg", "0000 02.jpg"), "line 4: found the name '0000'"),
        (CLEAN.replace("000002.jpg", "../002.jpg"), "line 4: found the name '../002.jpg'"),
        (CLEAN.replace("000002.jpg", "000002.jpg1"), "line 4"),
        (CLEAN.replace(ROWS[1] + "\n", ROWS[1] + " "), "after 40 values"),
        (CLEAN.replace("Young", "Bald"), "expected unique attribute names"),
        (CLEAN.replace("000002", "00000\u0662"), "line 4: found a character outside ASCII"),
        (CLEAN.replace(ROWS[1], ROWS[1].replace("-1", "- 1", 1)), "line 4: found '1' after"),
    ],
)
def test_what_cannot_be_repaired_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        repair_attribute_text(text, source="attributes.txt")
    assert message in str(refusal.value) and "attributes.txt" in str(refusal.value)


def test_the_fast_reader_and_the_careful_one_agree() -> None:
    names, values = table(40, 5)
    text = attribute_text(names, values)
    careful = text.replace(" ", "\n ")  # no row is left whole
    assert np.array_equal(
        repair_attribute_text(text, source="x").values, repair_attribute_text(careful, source="x").values
    )

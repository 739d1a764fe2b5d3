"""Columns of names: what fingerprints tell apart is what a table of all texts tells apart."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from core.splits import encode
from core.splits.arrow import taken
from core.splits.encode import coded
from core.splits.fingerprints import ROWS, fingerprints, letters, one_shape, repeated

NAMES = [f"images/{i}.jpg" for i in range(4 * ROWS + 7)]  # more than a column is told by


def pieces(values: Sequence[str | None]) -> pa.ChunkedArray:
    """Chunks of uneven size, the second a slice whose bytes do not begin at the first."""
    table = pa.array(["x", *values], pa.string())
    return pa.chunked_array([table.slice(1, 5), table.slice(6, 3), table.slice(9)])


def test_equal_texts_have_equal_fingerprints_wherever_they_stand() -> None:
    values = [*NAMES, NAMES[3], "", "é", NAMES[-1], "", "a" * 40, "a" * 41]
    found = fingerprints(pieces(values))
    assert len(np.unique(found)) == len(set(values))
    assert [values[at] for at in repeated(found)] == [NAMES[3], NAMES[-1], NAMES[3], "", NAMES[-1], ""]
    assert taken(pieces(values), repeated(found)).to_pylist() == [values[at] for at in repeated(found)]


def test_texts_whose_fingerprints_meet_are_still_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that tells nothing apart changes no count."""
    values = [*NAMES, NAMES[3], None, "", NAMES[5]]
    monkeypatch.setattr(encode, "_mostly_once", lambda values: True)
    expected = coded(pieces(values))
    monkeypatch.setattr(encode, "fingerprints", lambda values: np.zeros(len(values), dtype=np.uint64))
    found = coded(pieces(values))
    assert (found.codes == expected.codes).all()
    assert found.codes[-4:].tolist() == [3, -1, -1, 5]
    assert (found.codes[: len(NAMES)] == np.arange(len(NAMES))).all()


def test_a_long_column_of_names_is_coded_by_row_and_one_of_people_by_value() -> None:
    assert len(coded(pieces([*NAMES, NAMES[0]])).values) == len(NAMES) + 1
    assert len(coded(pieces([f"p{i % 50}" for i in range(len(NAMES))])).values) == 50


def test_letters_and_shapes() -> None:
    inside, last = letters(pieces(["ab", "", "c/d", *NAMES]))
    assert inside[list(b"abc/d")].all()
    assert not inside[ord(" ")] and not last[ord("/")]
    assert {chr(at) for at in np.flatnonzero(last)} == {"b", "d", "g"}
    alike = [f"img_{i:06d}.jpg" for i in range(len(NAMES))]
    assert one_shape(pieces(alike)) == "img_000000.jpg"
    for other in ("img_00000a.jpg", "img_00000/.jpg", "img_00000:.jpg", "img_0000é.jpg", "img_000001.jpG", "", None):
        for place in (0, 3, len(NAMES)):
            assert one_shape(pieces([*alike[:place], other, *alike[place:]])) is None
    assert one_shape(pieces(["img_01.jpg", "img_1.jpg", *NAMES])) is None
    assert one_shape(pieces(["a01b1.jpg", "a1b01.jpg", *["a11b1.jpg"] * 9])) is None
    assert one_shape(pa.array(["é1.jpg", "é2.jpg"])) == "é0.jpg"

"""A corpus keeps its order, knows itself by one fingerprint, and refuses what is not one."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.corpus import Corpus, load_corpus, save_corpus, shuffled
from core.errors import InputError


def make(n: int = 5, seed: int = 0, tables: bool = True) -> Corpus:
    rng = np.random.default_rng(seed)
    attributes = pd.DataFrame(rng.choice(np.array([-1, 1], np.int8), size=(n, 2)), columns=["Male", "Young"])
    return Corpus(
        torch.from_numpy(rng.random((n, 1, 4, 6), dtype=np.float32)),
        tuple(f"{k:06d}.jpg" for k in range(1, n + 1)),
        rng.integers(1, 4, n) if tables else None,
        attributes if tables else None,
    )


@given(st.permutations(range(6)), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_select_and_by_names_agree(order: list[int], k: int) -> None:
    corpus = make(6)
    picked = corpus.select(np.array(order[:k]))
    assert picked.names == tuple(corpus.names[i] for i in order[:k])
    for at, i in enumerate(order[:k]):
        assert torch.equal(picked.images[at], corpus.images[i])
        assert picked.identities is not None and corpus.identities is not None
        assert picked.identities[at] == corpus.identities[i]
        assert picked.attributes is not None and corpus.attributes is not None
        assert picked.attributes.iloc[at].equals(corpus.attributes.iloc[i])
    assert corpus.by_names(picked.names).fingerprint == picked.fingerprint
    assert (picked.fingerprint == corpus.fingerprint) == (list(order[:k]) == list(range(6)))


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_saved_and_loaded(tmp_path: Path, tables: bool, mmap: bool) -> None:
    corpus = make(tables=tables)
    save_corpus(corpus, tmp_path / "c", {"made by": "a test"})
    back = load_corpus(tmp_path / "c", mmap=mmap)
    assert back.fingerprint == corpus.fingerprint and back.names == corpus.names
    assert torch.equal(back.images, corpus.images)
    assert (back.attributes is None) == (not tables) == (back.identities is None)
    about = json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert about["provenance"] == {"made by": "a test"} and about["shape"] == [5, 1, 4, 6]
    assert (tmp_path / "c" / "names.txt").read_bytes() == b"".join(f"{n}\n".encode() for n in corpus.names)


def one_value(c: Corpus) -> Corpus:
    images = c.images.clone()
    images[3, 0, 1, 1] = torch.nextafter(images[3, 0, 1, 1], torch.tensor(0.0))
    return Corpus(images, c.names, c.identities, c.attributes)


def swapped_names(c: Corpus) -> Corpus:
    return Corpus(c.images, (c.names[1], c.names[0], *c.names[2:]), c.identities, c.attributes)


def other_identity(c: Corpus) -> Corpus:
    assert c.identities is not None
    return Corpus(c.images, c.names, c.identities + np.eye(1, len(c), 2, dtype=np.int64)[0], c.attributes)


def other_attribute(c: Corpus) -> Corpus:
    assert c.attributes is not None
    return Corpus(c.images, c.names, c.identities, (c.attributes * np.int8(-1)).astype(np.int8))


def renamed_attribute(c: Corpus) -> Corpus:
    assert c.attributes is not None
    return Corpus(c.images, c.names, c.identities, c.attributes.rename(columns={"Male": "Bald"}))


def other_shape(c: Corpus) -> Corpus:
    return Corpus(c.images.reshape(len(c), 1, 6, 4), c.names, c.identities, c.attributes)


CHANGES = [one_value, swapped_names, other_identity, other_attribute, renamed_attribute, other_shape]


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_notices(change: Callable[[Corpus], Corpus]) -> None:
    assert change(make()).fingerprint != make().fingerprint == make().fingerprint


def test_the_fingerprint_ignores_memory_layout() -> None:
    corpus = make()
    strided = corpus.images.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    assert not strided.is_contiguous()
    assert Corpus(strided, corpus.names, corpus.identities, corpus.attributes).fingerprint == corpus.fingerprint


@pytest.mark.parametrize("change", CHANGES[:4])
def test_files_of_another_corpus_are_refused(tmp_path: Path, change: Callable[[Corpus], Corpus]) -> None:
    save_corpus(make(), tmp_path / "a")
    save_corpus(change(make()), tmp_path / "b")
    (tmp_path / "b" / "corpus.json").replace(tmp_path / "a" / "corpus.json")
    with pytest.raises(InputError, match="fingerprint"):
        load_corpus(tmp_path / "a")


def test_unreadable_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus.json: no such file"):
        load_corpus(tmp_path)
    (tmp_path / "faces.npy").touch()
    with pytest.raises(InputError, match=r"faces.npy: found a file, expected the folder of a saved corpus"):
        load_corpus(tmp_path / "faces.npy")
    save_corpus(make(), tmp_path)
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:-9])
    with pytest.raises(InputError, match="not a readable corpus"):
        load_corpus(tmp_path)
    np.save(tmp_path / "images.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable corpus"):
        load_corpus(tmp_path, mmap=False)
    (tmp_path / "images.npy").write_bytes(whole)
    table = (tmp_path / "table.parquet").read_bytes()
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a readable corpus"):
        load_corpus(tmp_path)
    (tmp_path / "table.parquet").write_bytes(table)
    about = json.loads((tmp_path / "corpus.json").read_text())
    del about["fingerprint"]
    (tmp_path / "corpus.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"not a readable corpus .*fingerprint"):
        load_corpus(tmp_path)
    (tmp_path / "corpus.json").write_text("[]")
    with pytest.raises(InputError, match=r"corpus.json: holds a list, expected an object"):
        load_corpus(tmp_path)
    (tmp_path / "corpus.json").write_text('{"schema": "other"}')
    with pytest.raises(InputError, match="schema 'other'"):
        load_corpus(tmp_path)


IMAGES = torch.zeros(2, 1, 2, 2)
NAMES = ("a.jpg", "b.jpg")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Corpus(IMAGES.double(), NAMES), "images: found"),
        (lambda: Corpus(IMAGES[0], NAMES), "images: found"),
        (lambda: Corpus(IMAGES + 1.5, NAMES), r"\[1.5, 1.5\], expected \[0, 1\]"),
        (lambda: Corpus(IMAGES * float("nan"), NAMES), "expected \\[0, 1\\]"),
        (lambda: Corpus(IMAGES, NAMES[:1]), "1 names for 2 images"),
        (lambda: Corpus(IMAGES[:0], ()), "0 names for 0 images"),
        (lambda: Corpus(IMAGES, ("a.jpg", "a.jpg")), "'a.jpg' occurs twice"),
        (lambda: Corpus(IMAGES, NAMES, np.array([1])), "identities: found"),
        (lambda: Corpus(IMAGES, NAMES, np.array([1.0, 2.0])), "identities: found"),
        (lambda: Corpus(IMAGES, NAMES, None, pd.DataFrame({"Male": [0, 1]})), "attributes: found"),
        (lambda: Corpus(IMAGES, NAMES, None, pd.DataFrame({"Male": np.array([0, 1], np.int8)})), "attributes: found"),
        (
            lambda: Corpus(IMAGES, NAMES, None, pd.DataFrame({"Male": np.array([1], np.int8)})),
            "attributes: found 1 rows",
        ),
        (lambda: make().by_names(["000001.jpg", "x.jpg"]), "1 of 2 are not in the corpus of 5 images: 'x.jpg'"),
        (lambda: make().by_names(["000001.jpg", "000001.jpg"]), "occurs twice"),
        (lambda: make().by_names([]), "at least one"),
        (lambda: make().select([5]), "5 to 5, expected 0 to 4"),
        (lambda: make().select([-1]), "expected 0 to 4"),
        (lambda: make().select(np.array([True, False])), "index: found bool"),
    ],
)
def test_bad_input_is_named(build: Callable[[], Corpus], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()


def test_shuffled_is_fixed_for_ever() -> None:
    names = [f"{k:06d}.jpg" for k in range(1, 9)]
    order = shuffled(names, 0)
    assert order == shuffled(reversed(names), 0) and sorted(order) == names != order
    assert order != shuffled(names, 1)
    assert shuffled(names[:5], 0) == [name for name in order if name in names[:5]]
    assert "".join(name[5] for name in order) == "67541823"

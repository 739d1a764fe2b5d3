"""A corpus is gathered within a memory limit, in the order asked for, and goes on where it was stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data import prepared
from core.data.celeba import list_celeba, read_celeba
from core.data.collections.find import open_collection
from core.data.corpus import Corpus, load_corpus
from core.data.gather import BATCH
from core.data.pictures import KEEP
from core.data.prepared import Labels, Saving
from core.data.tests.corpora import corpus_of
from core.data.tests.test_bad_forms import write_tar
from core.data.tests.test_forms import FORMS
from core.errors import InputError
from core.tests.children import peak_in_child


def celeba_of(directory: Path, order: int, saving: Saving, progress: Any = None) -> Corpus:
    """Prepare photographs of 20 pixels a side, and load them."""
    prepared.prepare_celeba(list_celeba(directory, order=order), 20, saving, {}, progress=progress or quiet)
    return load_corpus(saving.out)


def quiet(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Three batches of aligned photographs, small files of smooth noise."""
    images = tmp_path / "celeba" / "img_align_celeba"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(1, 2 * BATCH + 40):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((178, 218), Image.Resampling.BILINEAR).save(images / f"{k:06d}.jpg", quality=50)
    return images.parent


class Stopped(Exception):
    """Somebody pressed a key."""


def stops_after(done_of_stage: int) -> Any:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "reading" and done >= done_of_stage:
            raise Stopped

    return progress


def test_celeba_goes_on_where_it_was_stopped_and_is_what_is_read_into_memory(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, saving = list_celeba(celeba, order=3), Saving(tmp_path / "out")
    with pytest.raises(Stopped):
        celeba_of(celeba, 3, saving, stops_after(BATCH))
    read, decoded = prepared.read_image, []

    def counts(stored: Any, size: int) -> Any:
        decoded.append(stored.label)
        return read(stored, size)

    monkeypatch.setattr(prepared, "read_image", counts)
    corpus = celeba_of(celeba, 3, saving)
    assert len(decoded) < len(corpus) and set(decoded).isdisjoint(
        str(listing.images.path / name) for name in listing.images.names[:BATCH]
    )
    assert corpus.fingerprint == read_celeba(celeba, size=20, order=3).fingerprint
    assert load_corpus(tmp_path / "out").fingerprint == corpus.fingerprint
    assert not (tmp_path / "out" / ".work").exists()


def test_another_question_does_not_take_up_old_work(celeba: Path, tmp_path: Path) -> None:
    saving = Saving(tmp_path / "out")
    with pytest.raises(Stopped):
        celeba_of(celeba, 3, saving, stops_after(BATCH))
    corpus = celeba_of(celeba, 4, saving)
    assert corpus.fingerprint == read_celeba(celeba, size=20, order=4).fingerprint


def test_one_bad_photograph_is_named_or_left_out_without_reading_the_others_again(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (celeba / "identity_CelebA.txt").write_text("".join(f"{k:06d}.jpg {k}\n" for k in range(1, 2 * BATCH + 40)))
    bad = celeba / "img_align_celeba" / "000300.jpg"
    bad.write_bytes(bad.read_bytes()[:-200])
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"000300\.jpg: truncated JPEG.*; --skip-bad leaves it out"):
        celeba_of(celeba, 0, Saving(out))
    monkeypatch.setattr(prepared, "read_image", None)
    corpus = celeba_of(celeba, 0, Saving(out, skip_bad=True))
    assert len(corpus) == 2 * BATCH + 38 and "000300.jpg" not in corpus.names
    assert corpus.identities is not None
    assert corpus.identities.tolist() == [int(name[:6]) for name in corpus.names]
    assert (out / "skipped.txt").read_text().startswith("000300.jpg\t")


def test_a_table_orders_what_can_only_be_read_in_its_own_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,identity\nn1_3.png,7\nn0_0.png,8\nn1_2.png,9\n")
    corpus, _ = corpus_of(FORMS / "datasets.parquet", tmp_path / "out", size=8, table=tmp_path / "t.csv")
    whole, _ = corpus_of(FORMS / "datasets.parquet", tmp_path / "whole", size=8)
    assert corpus.names == ("n1_3.png", "n0_0.png", "n1_2.png")
    assert corpus.identities is not None and corpus.identities.tolist() == [7, 8, 9]
    assert (corpus.images == whole.by_names(corpus.names).images).all()


def test_memory_that_cannot_hold_one_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"memory: 2000 bytes cannot hold .*\.png while it is decoded"):
        corpus_of(FORMS / "datasets.parquet", tmp_path / "out", memory="2000")


def child_preparing(source: str, out: str) -> None:
    pictures, saving = open_collection(Path(source)), Saving(Path(out), memory="16MB")
    prepared.prepare_pictures(pictures, KEEP, Labels(), saving, {}, progress=quiet, tell=print)


@pytest.mark.parametrize("form", ["npz", "parquet", "tar"])
def test_a_file_is_never_whole_in_memory(tmp_path: Path, form: str) -> None:
    """From a small file to one of 120 MB the peak grows by less than half of that."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    peaks, rng, side = [], np.random.default_rng(0), 400
    for n in (10, 750):
        path = tmp_path / f"{n}.{form}"
        pictures = rng.integers(0, 256, (n, side, side), dtype=np.uint8)
        if form == "npz":
            np.savez_compressed(path, images=pictures)
        else:
            files = []
            for picture in pictures:
                stream = io.BytesIO()
                Image.fromarray(picture).save(stream, "PNG", compress_level=0)
                files.append(stream.getvalue())
            if form == "tar":
                write_tar(path, [(f"{k}.png", data) for k, data in enumerate(files)])
            else:
                rows = [{"bytes": data, "path": None} for data in files]
                pq.write_table(pa.table({"image": rows}), path, row_group_size=50)  # Hugging Face writes 100
        peaks.append(peak_in_child(tmp_path, child_preparing, str(path), str(tmp_path / f"out-{n}")))
    assert peaks[1] - peaks[0] < 60e6 < 120e6 < path.stat().st_size

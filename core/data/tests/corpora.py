"""A corpus of a collection of pictures, with what was told of it on the way."""

from pathlib import Path
from typing import Any

from core.data.collections.find import open_collection
from core.data.corpus import Corpus, load_corpus
from core.data.pictures import Fit
from core.data.prepared import Labels, Saving, prepare_pictures


def corpus_of(
    path: Path, out: Path, *, fit: Fit | None = None, size: int = 40, **known: Any
) -> tuple[Corpus, list[str]]:
    """Prepare what `path` holds into `out`; `known` are fields of `Labels`, `axes`, `skip_bad`, `memory`, `progress`.

    Returns:
        the corpus and the sentences told.
    """
    saving = Saving(out, known.pop("memory", "256MB"), skip_bad=known.pop("skip_bad", False))
    progress = known.pop("progress", lambda stage, done, total: None)
    told: list[str] = []
    pictures = open_collection(path, axes=known.pop("axes", None))
    labels = Labels(known.pop("table", None), known.pop("identity", None), known.pop("attributes", ()))
    prepare_pictures(pictures, fit or Fit("crop", size), labels, saving, {}, progress=progress, tell=told.append)
    return load_corpus(out), told

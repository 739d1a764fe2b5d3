"""Counts of CelebA's tables and of the images set aside (Topeza 2025, sections 2.2 and 3.1)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audit.measures.record import cite, record
from core.data.celeba import celeba_in_part, read_attributes, read_identities, require_file
from core.files import sha256_file
from fixtures.published.files import Published
from reports.record import ClaimRecord


def metadata_counts(attributes: pd.DataFrame, identities: pd.Series) -> dict[str, float]:
    """The numbers that T 2.2 prints, of an attribute table and an identity table."""
    found: dict[str, float] = {
        "images": len(attributes),
        "images_with_identity": len(identities.index.intersection(attributes.index)),
        "identities": identities.nunique(),
        "attributes": attributes.shape[1],
        "images_per_identity": len(identities) / identities.nunique(),
    }
    for name, column in (("eyeglasses", "Eyeglasses"), ("male", "Male")):
        found[name] = int((attributes[column] == 1).sum())
        found[f"no_{name}" if name == "eyeglasses" else "not_male"] = int((attributes[column] == -1).sum())
    return found


def holdout(train: Sequence[str], test: Sequence[str], identities: pd.Series) -> dict[str, int]:
    """Sizes and overlap of the two lists, and whose faces the held-out images show."""
    seen = set(identities.reindex(list(train)))
    return {
        "held_out": len(test),
        "remaining": len(train),
        "shared": len(set(train) & set(test)),
        "in_neither": len(set(identities.index) - set(train) - set(test)),
        "not_in_celeba": len((set(train) | set(test)) - set(identities.index)),
        "held_out_of_trained_identities": sum(identity in seen for identity in identities.reindex(list(test))),
    }


def blocked_in_part(evidence: ClaimRecord, celeba: Path) -> bool:
    """Whether a directory holds CelebA in part, so that a count of the whole is blocked with that reason."""
    if part := celeba_in_part(celeba):
        block_part(evidence, "celeba", part)
    return part is not None


def block_part(evidence: ClaimRecord, kind: str, part: str) -> None:
    """Say that evidence of this kind needs the whole of CelebA, and what part of it is there."""
    needs = f"the whole of CelebA, not a part of it ({part})"
    evidence.block(kind=kind, needs=needs, command="pytest audit/ --celeba DIR")


def record_counts(evidence: ClaimRecord, published_or_none: Published | None, celeba_dir: Path | None) -> None:
    """Counts of the published tables and of CelebA's own (T-counts)."""
    if published_or_none is not None:
        cite(evidence, "attributes.zip", "links_identities-faces.txt")
        record(
            evidence,
            metadata_counts(published_or_none.attributes, published_or_none.identities),
            kind="published",
            n=len(published_or_none.attributes),
        )
    if celeba_dir is not None and not blocked_in_part(evidence, celeba_dir):
        files = [require_file(celeba_dir, name) for name in ("list_attr_celeba.txt", "identity_CelebA.txt")]
        for path in files:
            evidence.input(f"CelebA: {path.name}", sha256=sha256_file(path))
        attributes = read_attributes(files[0])
        record(evidence, metadata_counts(attributes, read_identities(files[1])), kind="celeba", n=len(attributes))


def record_holdout(evidence: ClaimRecord, published: Published) -> None:
    """Sizes and overlap of the published lists (T-holdout)."""
    cite(evidence, "train_filenames.txt", "test_filenames.txt", "links_identities-faces.txt")
    found = holdout(published.train, published.test, published.identities)
    others = [int((published.identities == published.identities[name]).sum()) - 1 for name in published.test]
    for name, value in found.items():
        note = None
        if name == "held_out_of_trained_identities":
            note = f"each of these people has {min(others)} to {max(others)} images in the training list"
        evidence.add(name, value, kind="published", n=len(published.identities), note=note)

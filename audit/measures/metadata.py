"""Counts of CelebA's tables and of the images set aside (Topeza 2025, sections 2.2 and 3.1)."""

from collections.abc import Sequence

import pandas as pd


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

"""Leakage between one group and all others together, as folds of a cross-validation need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.splits.membership import Membership
from core.splits.presence import touching


@dataclass(frozen=True)
class RestCounts:
    """One group against all others together, as a fold stands against those it is trained on.

    Attributes:
        shared_images: images of the group that are in any other, `image_examples` the first of them.
        shared_identities: identities of the group that are in any other; None where none are known.
        images_with_identity_elsewhere: images of the group whose identity is in any other, None likewise.
        images_near_others: images of the group with a near-duplicate in any other; None where it was not looked for.
    """

    group: str
    images: int
    shared_images: int
    shared_identities: int | None
    images_with_identity_elsewhere: int | None
    images_near_others: int | None
    image_examples: Sequence[str]
    identity_examples: Sequence[str]


def against_rest(
    membership: Membership,
    rows: Sequence[np.ndarray],
    has_image: Sequence[np.ndarray],
    has_identity: Sequence[np.ndarray],
    near: Mapping[tuple[str, str], np.ndarray] | None,
) -> tuple[RestCounts, ...]:
    """Every group against all others; `rows` shows each image of a group once."""
    identity, image = membership.identity, membership.image
    groups_an_image = np.sum(np.stack(has_image), axis=0, dtype=np.int32)
    groups_an_identity = np.sum(np.stack(has_identity), axis=0, dtype=np.int32) if identity else None
    found = []
    for g, name in enumerate(membership.groups):
        images = np.flatnonzero(has_image[g] & (groups_an_image > 1))
        people = touched = None
        if identity and groups_an_identity is not None:
            people = np.flatnonzero(has_identity[g] & (groups_an_identity > 1))
            touched = touching(identity.codes[rows[g]], np.asarray(groups_an_identity > 1))
        alike = None
        if near is not None:
            sides = [pairs[:, names.index(name)] for names, pairs in near.items() if name in names]
            alike = len(np.unique(np.concatenate(sides))) if sides else 0
        found.append(
            RestCounts(
                name,
                len(rows[g]),
                len(images),
                None if people is None else len(people),
                touched,
                alike,
                image.examples(images),
                identity.examples(people) if identity and people is not None else [],
            )
        )
    return tuple(found)

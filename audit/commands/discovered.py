"""The groups of a folder that `samenoise verify DIR` looked at, and what is checked where nobody said."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from audit.commands.telling import Groups, Telling
from core.splits.discovery import Discovered, find_images
from core.splits.notes import Note
from core.splits.reading import Given


def given_of(found: Discovered, given: Given) -> Given:
    """The options that read what was found; what the user gave beside the folder goes before it."""
    return replace(
        given,
        groups=tuple(f"{name.replace('=', '-')}={path}" for name, path in found.lists.items()),
        tables=() if found.table is None else (found.table,),
        identities=given.identities or found.identities,
        group_column=given.group_column or found.columns.get("group"),
        name_column=given.name_column or found.columns.get("name"),
        identity_column=given.identity_column or found.columns.get("identity"),
    )


def completed(
    root: Path, found: Discovered, groups: Groups, images: Path | None, telling: Telling
) -> tuple[Groups, Path | None, Telling]:
    """The same with what was found said, with the images where they lie there, and everything required that can be.

    Images that are not there are a note: near-duplicates are then neither looked for nor required.
    """
    notes = [*found.notes, *groups.notes]
    if images is None and groups.rows is not None:
        images = root
    elif images is None:
        membership = groups.membership
        names = membership.image.examples(np.unique(membership.image.codes), most=len(membership.image.values))
        folder, missing = find_images(root, names)
        if folder is None:
            notes.append(Note("passed over", f"near-duplicates: found no image called {names[0]!r}", str(root)))
        elif missing:
            why = f"near-duplicates: {missing:,} of {len(names):,} images are not there"
            notes.append(Note("passed over", why, str(folder)))
        else:
            images = folder
    required = telling.required or (
        "image",
        *(["identity"] if groups.membership.identity is not None else []),
        *(["duplicate"] if images is not None else []),
    )
    groups = replace(groups, taken_for=found.taken_for, notes=tuple(notes))
    return groups, images, replace(telling, required=required)

"""On how many images, people or pairs each required property was checked, and which could not be checked at all."""

from collections.abc import Sequence

from core.splits.leakage import GroupCounts, Leakage

_LISTED = 4  # groups up to which every size is named


def looked_at(found: Leakage, required: Sequence[str]) -> dict[str, str]:
    """For each required property the counts that its verdict rests on, as words: `3 + 2 images of 2 groups`."""
    groups = list(found.groups.values())
    images = _sum([group.images for group in groups], "image")
    told = {}
    for item in required:
        name, _, argument = item.partition(":")
        if name == "identity":
            lost = sum(group.images_without_identity or 0 for group in groups)
            without = f", {lost:,} without an identity" if lost else ""
            people = _sum([group.identities or 0 for group in groups], "identity")
            told[item] = f"{people} of {images} looked at{without}"
        elif name == "duplicate":
            pairs = sum(found.groups[p.a].images * found.groups[p.b].images for p in found.pairs)
            told[item] = f"{pairs:,} pair{'s' * (pairs != 1)} of {images} compared"
        elif name == "attribute":
            known = _sum([_known(group, argument) for group in groups], "value")
            told[item] = f"{known} on {images} looked at"
        else:
            told[item] = f"{images} of {len(groups)} groups looked at"
    return told


def unlooked(found: Leakage, required: Sequence[str]) -> list[tuple[str, str]]:
    """The required properties for which some group had nothing to look at, each with the sentence that says so."""
    told = []
    for item in required:
        name, _, argument = item.partition(":")
        for group, counts in found.groups.items():
            if not counts.images:
                told.append((item, f"{group} has no image"))
            elif name == "identity" and not counts.identities:
                told.append((item, f"no image of {group} has a known identity"))
            elif name == "attribute" and not _known(counts, argument):
                told.append((item, f"no image of {group} has a known value of {argument}"))
    return told


def _known(group: GroupCounts, attribute: str) -> int:
    return sum(n for value, n in group.attributes.get(attribute, {}).items() if value != "missing")


def _sum(counts: Sequence[int], what: str) -> str:
    many = {"identity": "identities"}.get(what, f"{what}s")
    total = f"{sum(counts):,}" if len(counts) > _LISTED else " + ".join(f"{n:,}" for n in counts)
    return f"{total} {what if sum(counts) == 1 else many}"

"""Which required properties of a set of groups do not hold, in sentences that carry the counts."""

import math
from collections.abc import Sequence

from core.errors import InputError
from core.splits.leakage import Leakage, PairCounts

PROPERTIES = ("image", "identity", "duplicate", "attribute:NAME", "balance", "balance:SHARE")
MOST_PAIRED = 4  # groups up to which every pair has a sentence of its own; above it a group against all others has
BALANCE = 0.01  # groups whose sizes differ by at most this share of the larger count as balanced


def violations(found: Leakage, require: Sequence[str]) -> list[tuple[str, str]]:
    """The required properties that do not hold, each with the sentence that says how.

    Properties: `image` (no image in two groups), `identity` (no identity in two groups, none contradicted),
    `duplicate` (no near-duplicates across groups), `attribute:NAME` (every group holds one value of it only and no two
    groups the same one), `balance` or `balance:SHARE` (sizes differ by at most that share of the larger, by default
    `BALANCE`).

    Raises:
        InputError: for an unknown property, or one that the input says nothing about.
    """
    broken: list[tuple[str, str]] = []
    for item in require:
        name, _, argument = item.partition(":")
        if name == "image" and not argument:
            why = _image_violations(found)
        elif name == "identity" and not argument:
            why = _identity_violations(found)
        elif name == "duplicate" and not argument:
            why = _duplicate_violations(found)
        elif name == "attribute" and argument:
            why = _attribute_violations(found, argument)
        elif name == "balance":
            why = _balance_violations(found, argument)
        else:
            raise InputError(f"require: found {item!r}; expected one of {', '.join(PROPERTIES)}")
        broken += [(item, sentence) for sentence in why]
    return broken


def _image_violations(found: Leakage) -> list[str]:
    if len(found.groups) > MOST_PAIRED:
        return [
            f"{r.group} shares {_some(r.shared_images, 'image')} with other groups{_listed(r.image_examples)}"
            for r in found.rest
            if r.shared_images
        ]
    return [
        f"{p.a} and {p.b} share {_some(p.shared_images, 'image')}{_such_as(p, 'images')}"
        for p in found.pairs
        if p.shared_images
    ]


def _identity_violations(found: Leakage) -> list[str]:
    if found.images_with_two_identities is None:
        raise InputError("require: 'identity' needs identities (--identities FILE, or --identity-column with a table)")
    why = []
    many = len(found.groups) > MOST_PAIRED
    for rest in found.rest if many else ():
        if rest.shared_identities:
            assert rest.images_with_identity_elsewhere is not None
            share = rest.images_with_identity_elsewhere / rest.images
            why.append(
                f"{rest.group}: {rest.images_with_identity_elsewhere:,} of {rest.images:,} images ({share:.2%}) show "
                f"{_some(rest.shared_identities, 'identity')} of other groups{_listed(rest.identity_examples)}"
            )
    for pair in () if many else found.pairs:
        if pair.shared_identities:
            assert pair.fraction_of_a is not None and pair.fraction_of_b is not None
            size_a, size_b = found.groups[pair.a].images, found.groups[pair.b].images
            why.append(
                f"{pair.a} and {pair.b} share {_some(pair.shared_identities, 'identity')}"
                f"{_such_as(pair, 'identities')}: {pair.images_of_a_with_identity_in_b:,} of {size_a:,} images of "
                f"{pair.a} ({pair.fraction_of_a:.2%}) show an identity of {pair.b}, "
                f"{pair.images_of_b_with_identity_in_a:,} of {size_b:,} of {pair.b} ({pair.fraction_of_b:.2%}) one of "
                f"{pair.a}; the groups share {_some(pair.shared_images, 'image')}"
            )
    if found.images_with_two_identities:
        why.append(f"two identities are given for {_some(found.images_with_two_identities, 'image')}")
    return why


def _duplicate_violations(found: Leakage) -> list[str]:
    if found.pairs[0].near_duplicate_pairs is None:
        raise InputError("require: 'duplicate' needs the images (--images DIR)")
    if len(found.groups) > MOST_PAIRED:
        return [
            f"{r.group}: {_some(r.images_near_others, 'image')} of {r.images:,} with a near-duplicate in other groups"
            for r in found.rest
            if r.images_near_others
        ]
    return [
        f"{p.a} and {p.b}: {p.images_of_a_near_b:,} images of {p.a} have a near-duplicate in {p.b}, "
        f"{p.images_of_b_near_a:,} of {p.b} one in {p.a}{_such_as(p, 'near_duplicates')}"
        for p in found.pairs
        if p.near_duplicate_pairs
    ]


def _attribute_violations(found: Leakage, attribute: str) -> list[str]:
    why: list[str] = []
    owner: dict[str, str] = {}
    for name, group in found.groups.items():
        if attribute not in group.attributes:
            known = ", ".join(sorted(group.attributes)) or "none was given (--attributes FILE)"
            raise InputError(f"require: there is no attribute {attribute!r}; known: {known}")
        held = {value: n for value, n in group.attributes[attribute].items() if n}
        if len(held) > 1:
            counts = ", ".join(f"{n:,} with {value}" for value, n in held.items())
            why.append(f"{name} is not pure in {attribute}: {counts}")
        for value in held:
            if value in owner:
                why.append(f"{owner[value]} and {name} both hold {attribute} = {value}")
            owner.setdefault(value, name)
    return why


def _balance_violations(found: Leakage, argument: str) -> list[str]:
    try:
        share = float(argument) if argument else BALANCE
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise InputError(f"require: balance:{argument} needs a share between 0 and 1")
    sizes = {name: group.images for name, group in found.groups.items()}
    least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[most] - sizes[least] <= share * sizes[most]:
        return []
    difference = (sizes[most] - sizes[least]) / sizes[most]
    return [
        f"{least} has {sizes[least]:,} images, {most} has {sizes[most]:,}: {difference:.2%} fewer, "
        f"at most {share:.2%} is allowed"
    ]


def _some(n: int, what: str) -> str:
    many = {"identity": "identities"}.get(what, f"{what}s")
    return f"{n:,} {what if n == 1 else many}"


def _such_as(pair: PairCounts, what: str) -> str:
    return _listed(pair.examples.get(what, ()))


def _listed(named: Sequence[str]) -> str:
    return f" ({', '.join(named)}{', …' if len(named) >= 5 else ''})" if named else ""

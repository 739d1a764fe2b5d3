"""What was counted, a line a pair of groups; a line a group against all others where there are many."""

from collections.abc import Iterator

from core.splits.leakage import Leakage, PairCounts
from core.splits.requirements import MOST_PAIRED
from core.splits.rest import RestCounts


def count_lines(found: Leakage) -> Iterator[str]:
    """The counts as lines: of every pair for at most `MOST_PAIRED` groups, else of every group against the rest."""
    if len(found.groups) <= MOST_PAIRED:
        yield from map(_pair_line, found.pairs)
    else:
        yield from map(_rest_line, found.rest)


def _pair_line(pair: PairCounts) -> str:
    line = f"{pair.a} and {pair.b}: {pair.shared_images:,} shared images"
    if pair.shared_identities is not None:
        line += (
            f", {pair.shared_identities:,} shared identities; identity also in the other group: "
            f"{pair.images_of_a_with_identity_in_b:,} images of {pair.a} ({pair.fraction_of_a:.2%}), "
            f"{pair.images_of_b_with_identity_in_a:,} of {pair.b} ({pair.fraction_of_b:.2%})"
        )
    if pair.near_duplicate_pairs is not None:
        line += f"; {pair.near_duplicate_pairs:,} near-duplicate pairs"
    return line


def _rest_line(rest: RestCounts) -> str:
    line = f"{rest.group}: {rest.shared_images:,} of {rest.images:,} images are in other groups too"
    if rest.images_with_identity_elsewhere is not None:
        share = rest.images_with_identity_elsewhere / rest.images
        line += (
            f"; {rest.images_with_identity_elsewhere:,} images ({share:.2%}) show one of {rest.shared_identities:,} "
            "identities of other groups"
        )
    if rest.images_near_others is not None:
        line += f"; {rest.images_near_others:,} have a near-duplicate in other groups"
    return line

"""What was found, in sentences: none says more than was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.errors import InputError

BLIND = "a part of an image, a person or a style that is taken over leaves no trace in these criteria"


def percent(share: float) -> str:
    """A share in per cent, to three significant digits from ten on and to two below."""
    return f"{100 * share:{'.3g' if share >= 0.1 else '.2g'}} %"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words with commas between them, and one before the last."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def spread(share: Mapping[str, Any]) -> str:
    """A share's exact interval."""
    return f"{percent(share['low'])} to {percent(share['high'])}"


def answer(result: Mapping[str, Any]) -> str:
    """Whether samples are copies, in one sentence."""
    together = result["any"]
    share, names = together["samples"], listed(together["of"], "or")
    if not together["sees"]:
        why = "reliably find no kind of planted copy, not even exact ones"
        return f"Whether samples are copies cannot be told: {names} {why}."
    of_the_sampler = f"of all that the sampler would make, {spread(share)} (95 % interval)"
    if share["copies"]:
        found = f"{share['copies']:,} of {share['n']:,} samples are copies of training images by {names}"
        return f"{found}: {percent(share['share'])}; {of_the_sampler}."
    kinds = listed(together["sees"], "or")
    return f"No sample of {share['n']:,} is a copy that {names} can see ({kinds}); {of_the_sampler}."


def sight(result: Mapping[str, Any]) -> str:
    """Which copies the criteria that judge find on these images, which not, and how often they are wrong."""
    together = result["any"]
    seen = f"Of planted copies they find those that are {listed(together['sees'])}" if together["sees"] else ""
    unseen = together["does_not_see"]
    if unseen:
        missed = f"those that are {listed(unseen, 'or')}"
        seen = f"{seen}, but not reliably {missed}" if seen else f"They do not reliably find {missed}"
    return " ".join([f"{seen}; {BLIND}.", *false_alarms(together)])


def false_alarms(row: Mapping[str, Any]) -> Iterator[str]:
    """How many images that are no copies are called copies."""
    name = "training images" if row["held-out images"] is None else "held-out images"
    share, what = row[name], name if row["held-out images"] else f"{name}, each beside the others"
    yield f"Called copies though they are none: {share['copies']:,} of {share['n']:,} {what} ({spread(share)})."


def required(result: Mapping[str, Any], at_most: float | None) -> dict[str, Any]:
    """Whether at most the required share of samples are copies: the upper end of the interval decides.

    Raises:
        InputError: if something is required and no kind of copy would be seen.
    """
    if at_most is None:
        return {"at_most": None, "holds": None, "verdict": None}
    together = result["any"]
    share = together["samples"]
    if not together["sees"]:
        raise InputError(f"--at-most {at_most:g}: cannot be told. {result['answer']}")
    if share["high"] <= at_most:
        seen = listed(together["sees"])
        verdict = f"holds, of copies that these criteria see ({seen}): the interval ends at {percent(share['high'])}"
        return {"at_most": at_most, "holds": True, "verdict": verdict}
    if share["share"] > at_most:
        return {"at_most": at_most, "holds": False, "verdict": f"does not hold: {percent(share['share'])}"}
    verdict = f"is not shown: the interval ends at {percent(share['high'])}; more samples narrow it"
    return {"at_most": at_most, "holds": False, "verdict": verdict}


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Everything for a reader at a terminal: sets, notes, the table, what is not looked at, the answer."""
    for key, what in (("samples", "samples"), ("train", "training images"), ("held_out", "held-out images")):
        if (one := result["sets"].get(key)) is not None:
            size = "x".join(map(str, one["shape"]))
            how = f", read as {one['read_as']}" if one["read_as"] else ""
            yield f"{one['images']:,} {what} of {size}{how}: {one['path']}"
    twins = result["twins"]
    if twins["joined"]:
        yield (
            f"{twins['joined']:,} training images have a near-duplicate (correlation above "
            f"{twins['correlation_above']:g}): joined, {twins['groups']:,} remain"
        )
    for note in result["notes"]:
        yield f"note: {note}"
    yield ""
    yield from table(result)
    if not all(row["as_published"] for row in result["criteria"]):
        yield "* calibrated: the lowest threshold that calls at most one in a hundred images that are no copies a copy"
    yield ""
    for name, why in result["not_looked_at"].items():
        yield f"not looked at, {name}: {why}"
    yield from lpips_passes(result)
    yield result["answer"]
    yield result["sight"]
    if result["verdict"]:
        yield f"at most {percent(result['at_most'])} {result['verdict']}"


def lpips_passes(result: Mapping[str, Any]) -> Iterator[str]:
    """How LPIPS was searched among all training images, in a line; nothing where it was among candidates only."""
    passes = result.get("lpips_passes") or {}
    if passes and all(each["first_pass"] == "float32" for each in passes.values()):
        yield "LPIPS was searched in float32 among all training images: none passed through the network twice"
    elif passes:
        train = result["sets"]["train"]["images"]
        again = listed([f"{each['measured_again']:,} for {name}" for name, each in passes.items()])
        yield f"LPIPS was searched in bfloat16; of {train:,} training images were measured again in float32: {again}"


def in_order(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Criteria that judge, what any of them says, and those that are shown beside."""
    judging, beside = ([row for row in result["criteria"] if row["judges"] is so] for so in (True, False))
    return [*judging, result["any"], *beside]


def table(result: Mapping[str, Any]) -> list[str]:
    """One line a criterion: what it calls copies of each set, and which planted copies it sees."""
    sets = [name for name in ("samples", "training images", "held-out images") if result["any"][name]]
    head = ["criterion", "threshold", *sets, "95 % interval of samples", "sees"]
    rows = [head]
    for row in in_order(result):
        shares = [_count(row[name]) for name in sets]
        rows.append([row["name"], limit(row), *shares, spread(row["samples"]), ", ".join(row["sees"]) or "nothing"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    right = range(1, len(head) - 1)
    padded = [
        [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(r, widths, strict=True))] for r in rows
    ]
    return ["  ".join(cells).rstrip() for cells in padded]


def limit(row: Mapping[str, Any]) -> str:
    """The threshold in use; a star stands where it is calibrated, not published."""
    if "threshold" not in row:
        return ""
    star = "" if row["as_published"] else "*"
    return f"{'>' if row['copies_are'] == 'above' else '<'} {row['threshold']:.3g}{star}"


def _count(share: Mapping[str, Any] | None) -> str:
    return "" if share is None else f"{share['copies']:,} of {share['n']:,}"

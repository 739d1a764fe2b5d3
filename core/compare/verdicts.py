"""What was measured, judged and said in sentences that err towards 'cannot be told'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binom

from core.compare.measured import Measured, table
from core.compare.options import LEAST_SEEDS, Options
from core.compare.overlap import NONE_FOUND, OVERLAP
from core.copies.sentences import listed, percent, required, spread
from core.denoisers.admission import Admission
from core.errors import InputError
from core.stats.crossed import Crossed

YES, NO, UNKNOWN, LITTLE = "yes", "no", "cannot be told", "means little"
CHANCE = "no more than false alarms"  # what is called a copy
FEWEST_OTHERS = 100  # images that are no copies, without which nobody knows how many false alarms there are
MOST_OUTSIDE = 0.05  # share of pixels far outside the range, from which on it is said


@dataclass(frozen=True)
class Answer:
    """One question, its verdict in a few words and why in a sentence or two."""

    question: str
    verdict: str
    why: str

    def as_json(self) -> dict[str, str]:
        """The three as plain values."""
        return asdict(self)


def refused(admission: Mapping[str, Admission]) -> list[str]:
    """Which denoisers are not what they are said to be, and what each reads as, a sentence each."""
    told = []
    for name, found in admission.items():
        try:
            found.require(name)
        except InputError as error:
            told.append(str(error))
    return told


def shared(overlap: Mapping[str, Any]) -> str:
    """What both sets hold, in words: '3 of 100 images of B ...'."""
    images, near, people = overlap["images"], overlap["near_duplicates"], overlap["identities"]
    parts = []
    if images["images_of_b"]:
        parts.append(f"{images['images_of_b']:,} of {images['of_b']:,} images of B are images of A, pixel for pixel")
    if near["confirmed"]:
        parts.append(f"{near['confirmed']:,} pairs of near-duplicates are one photograph at a second look")
    if people and people["shared_identities"]:
        count = people["shared_identities"]
        who = "identity is" if count == 1 else "identities are"
        parts.append(f"{count:,} {who} in both ({people['images_of_a']:,} images of A, {people['images_of_b']:,} of B)")
    return listed(parts) if parts else "nothing was found in both"


def overlapping(overlap: Mapping[str, Any]) -> Answer:
    """Whether the training sets overlap, as far as was looked."""
    near, people = overlap["near_duplicates"], overlap["identities"]
    question = "Do the training sets overlap?"
    unsettled = (
        f"{near['unsettled']:,} of {near['pairs']:,} pairs that correlate above {near['correlation_above']:g} could "
        f"not be settled by a second look at full size"
    )
    if overlap["verdict"] == OVERLAP:
        also = f" Besides, {unsettled}." if near["unsettled"] else ""
        return Answer(question, YES, f"{_capital(shared(overlap))}.{also}")
    looked = "images, near-duplicates and identities" if people else "images and near-duplicates"
    rest = "" if people else " Identities were not looked at: the same people may be in both (--identities)."
    if overlap["verdict"] != NONE_FOUND:
        return Answer(question, UNKNOWN, f"{_capital(unsettled)}.{rest}")
    dismissed = f" {near['pairs']:,} pairs correlate, none is one photograph at a second look." if near["pairs"] else ""
    return Answer(question, NONE_FOUND, f"No overlap was found of {looked}.{dismissed}{rest}")


def same_function(measured: Measured | None, options: Options) -> Answer:
    """Whether two denoisers draw the same images from the same noise, whatever they were trained on."""
    question = "Are they the same function?"
    if measured is None:
        return Answer(question, UNKNOWN, "Nothing was sampled, as a denoiser is not what it is said to be.")
    row, found = table(measured)[0], _found(measured)
    noise = f"95 % of images of different noise lie below {row['mismatched_95']:.2f}"
    if options.seeds < LEAST_SEEDS:
        return Answer(question, UNKNOWN, f"{found} {options.seeds} seeds; at least {LEAST_SEEDS} are needed.")
    if row["high"] < row["mismatched_95"]:
        return Answer(question, NO, f"{found} No more than different noise gives: {noise}.")
    if row["low"] <= row["mismatched_95"]:
        return Answer(question, UNKNOWN, f"{found} Whether more than different noise gives is open: {noise}.")
    return Answer(question, *(_alone if measured.gap is None else _beside_ceiling)(measured, row, found, options))


def _found(measured: Measured) -> str:
    row, beyond = table(measured)[0], "nothing is left beyond one Gaussian"
    if measured.residual is not None:
        value, interval = measured.residual.mean(seed=0)
        beyond = f"what one Gaussian does not explain agrees by {value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
    linear = f"two linear denoisers by {measured.floor.same.mean():.2f}"
    own = f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    return f"They agree by {own} from the same noise, {linear}; {beyond}."


GAUSSIAN = "That is no more than different noise gives: a shared mean and covariance may be all that agrees."


def _alone(measured: Measured, row: Mapping[str, Any], found: str, options: Options) -> tuple[str, str]:
    """Verdict and why without a ceiling: nothing is called the same."""
    if not beyond_gaussian(measured):
        return UNKNOWN, f"{found} {GAUSSIAN}"
    unknown = "what two trainings on the same images agree by is not known (--ceiling A2)"
    if row["low"] > options.strong:
        return "nearly", f"{found} Nearly identical images (above {options.strong:g}); {unknown}."
    if row["high"] < options.strong:
        return "alike", f"{found} Above different noise and not nearly identical (below {options.strong:g}); {unknown}."
    return UNKNOWN, f"{found} Whether above {options.strong:g} is open; {unknown}."


def _beside_ceiling(measured: Measured, row: Mapping[str, Any], found: str, options: Options) -> tuple[str, str]:
    """Verdict and why beside a second training on A's images; what one Gaussian does not explain must agree as well."""
    assert measured.gap is not None and measured.ceiling is not None
    tests = [(measured.gap, options.same_within), (measured.residual_gap, options.residual_within)]
    told = f"{found} Two trainings on A's images agree by {measured.ceiling.same.mean():.2f}, more by {_gap(*tests[0])}"
    if measured.residual_gap is not None:
        told = f"{told}; beyond one Gaussian they agree more by {_gap(*tests[1])}"
    if any(gap is not None and gap.interval().low > within for gap, within in tests):
        return NO, f"{told}: alike, and not the same."
    if any(gap is not None and gap.interval().high < -within for gap, within in tests):
        return UNKNOWN, f"{told}: A and B are more alike than these. Was A2 trained as A was?"
    if not beyond_gaussian(measured):
        return UNKNOWN, f"{told}. {GAUSSIAN}"
    if all(gap is not None and gap.equivalence(within).equivalent for gap, within in tests):
        return YES, f"{told}: as alike as two trainings on the same images."
    return UNKNOWN, f"{told}: whether that is within what is allowed is open."


def _gap(gap: Crossed | None, within: float) -> str:
    assert gap is not None
    interval = gap.interval()
    return f"{gap.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f}, {within:g} is allowed)"


def beyond_gaussian(measured: Measured) -> bool:
    """Whether residuals agree above the 95th percentile of mismatched seeds by their whole interval."""
    found = measured.residual
    return found is not None and found.mean(seed=0)[1].low > found.weak_threshold


def copying(copies: Mapping[str, Mapping[str, Any]]) -> Answer:
    """Whether what the two draw are copies of what each was trained on."""
    question = "Do they copy?"
    if not copies:
        return Answer(question, UNKNOWN, "Nothing was sampled.")
    verdicts = {name: copies_verdict(result) for name, result in copies.items()}
    why = " ".join(f"{name}: {result['answer']}" for name, result in copies.items())
    different = set(verdicts.values())
    if different == {YES}:
        return Answer(question, YES, why)
    if YES in different:
        who = listed([name for name, verdict in verdicts.items() if verdict == YES])
        return Answer(question, f"{who} does", why)
    worst = next(verdict for verdict in (UNKNOWN, CHANCE, NONE_FOUND) if verdict in different)
    return Answer(question, worst, why)


def copies_verdict(result: Mapping[str, Any]) -> str:
    """Whether more samples are called copies than images that are none; `none found` only where not one is."""
    together = result["any"]
    share, beside = together["samples"], together["held-out images"] or together["training images"]
    if not together["sees"] or beside is None:
        return UNKNOWN
    if not share["copies"]:
        return NONE_FOUND
    if share["low"] > beside["high"]:
        return YES
    by_chance = float(binom.sf(share["copies"] - 1, share["n"], beside["share"]))
    return CHANCE if beside["n"] >= FEWEST_OTHERS and by_chance > 0.05 else UNKNOWN


def how_sure(
    measured: Measured | None, copies: Mapping[str, Mapping[str, Any]], outside: Mapping[str, float], options: Options
) -> Answer:
    """What the intervals hold and what was not varied or looked at."""
    question = "How sure is that?"
    if measured is None:
        return Answer(question, "not at all", "Of the sets alone something is known.")
    parts = [
        f"Intervals of agreement (95 %) are over {options.seeds} sampling seeds; one training of each was compared, so "
        "that how much another training would differ is not in them."
    ]
    if measured.ceiling is None:
        parts.append("Without --ceiling nobody knows how alike two trainings on the same images would be.")
    for name, result in copies.items():
        share = result["any"]["samples"]
        parts.append(
            f"Copies among all that {name} would draw: {spread(share)}, of the kinds that are seen "
            f"({listed(result['any']['sees']) if result['any']['sees'] else 'none'})."
        )
    parts += [
        f"{percent(share)} of the pixels that {name} draws lie far beyond black or white: more --levels may "
        "help, or it was trained too little."
        for name, share in outside.items()
        if share > MOST_OUTSIDE
    ]
    verdict = f"{options.seeds} seeds, one training each"
    return Answer(question, verdict, " ".join(parts))


def headline(same: Answer, copy: Answer, overlap: Mapping[str, Any], problems: list[str]) -> tuple[Answer, str]:
    """The answer to the first question as it stands beside the others, and the sentence that a page begins with."""
    if problems:
        return same, f"Whether A and B are the same function cannot be told: {problems[0]}"
    sets = overlapping(overlap)
    if sets.verdict == YES:
        same = Answer(same.question, LITTLE, f"The training sets overlap, so that agreement means little. {same.why}")
        first = f"Agreement means little, as the training sets overlap: {shared(overlap)}."
    elif sets.verdict == UNKNOWN:
        same = Answer(same.question, UNKNOWN, f"Whether the training sets overlap is not settled. {same.why}")
        first = "What agreement means cannot be told: whether the training sets overlap is not settled."
    else:
        first = {
            YES: "A and B are the same function as far as these samples tell.",
            "nearly": "A and B draw nearly the same images from the same noise.",
            "alike": "A and B draw images that are alike, and not the same, from the same noise.",
            NO: "A and B are different functions.",
        }.get(same.verdict, "Whether A and B are the same function cannot be told.")
    second = {
        YES: "Both copy their training images.",
        NONE_FOUND: "No copy of a training image was found among the kinds that are seen.",
        CHANCE: "No more samples are called copies than images that are none.",
        UNKNOWN: "Whether they copy cannot be told.",
    }.get(copy.verdict, f"{_capital(copy.verdict.removesuffix(' does'))} copies its training images.")
    third = "" if sets.verdict != NONE_FOUND else "No overlap of the training sets was found."
    return same, " ".join(part for part in (first, second, third) if part)


def requirements(
    row: Mapping[str, Any] | None, same: Answer, copies: Mapping[str, Mapping[str, Any]], options: Options
) -> list[dict[str, Any]]:
    """What was asked for and whether it is shown: nothing is where agreement means little or copies cannot be told."""
    told: list[dict[str, Any]] = []
    if options.at_least is not None:
        asked = f"agreement of at least {options.at_least:g}"
        holds = row is not None and same.verdict != LITTLE and row["low"] >= options.at_least
        if row is None:
            verdict = "is not shown: nothing was sampled"
        elif same.verdict in (LITTLE, UNKNOWN):
            holds, verdict = False, f"is not shown: {same.why}"
        else:
            verdict = f"{'holds' if holds else 'is not shown'}: the interval begins at {row['low']:.3f}"
        told.append({"asked": asked, "holds": holds, "verdict": verdict})
    if (most := options.copies.at_most) is not None:
        for name in ("A", "B"):
            asked = f"at most {percent(most)} copies among the samples of {name}"
            told.append({"asked": asked, **_at_most(copies.get(name), most)})
    return told


def _at_most(result: Mapping[str, Any] | None, most: float) -> dict[str, Any]:
    if result is None:
        return {"holds": False, "verdict": "is not shown: nothing was sampled"}
    if not result["any"]["sees"]:
        return {"holds": False, "verdict": "is not shown: no kind of copy is seen"}
    found = required(result, most)
    return {"holds": found["holds"], "verdict": found["verdict"]}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

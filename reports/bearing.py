"""What stands below the page's first sentence, by a rule each: how sure it is, what else explains it, what is open."""

from collections.abc import Mapping
from typing import Any

from reports.format import FEW_COPIES, bounds, expected, number
from reports.parts import UNASKED, called

CENTRAL = "K-same-data"
BEYOND = "K-beyond-gaussian"
BEARS = (CENTRAL, "K-strong-generalization", BEYOND, "T-convergence", "K-critical-depends", "K-figure-1")  # on it
GAP_AT = "ceiling minus agreement, N = {}, published sampler"
GAP, GAP_BEFORE = "ceiling minus agreement, largest N", "ceiling minus agreement, smallest N without copies"
LARGEST, BEFORE = "largest N", "smallest N without copies"
AT_LARGEST, AT_BEFORE = ([f"{name} at the {n}" for name in ("agreement", "ceiling")] for n in (LARGEST, BEFORE))
STRIP = "samples from the same noise, shown"
DETAIL = "power of samples above 4 cycles an image, over that of training images, largest N"
RESIDUAL = "agreement of residuals above mismatched seeds"
BY_SIZE, FLOOR, NOISELESS = "agreement, ceiling and floor by N", "floor, Wiener of A with Wiener of B", "heun"
CORPORA = {
    "celeba": "photographs of CelebA",
    "photographs": "photographs of faces",
    "clothes": "photographs of clothes",
    "synthetic": "generated faces",
    "full": "networks of the published size",
}  # kinds of evidence of the central claim, the best first
SHARED = {
    "reproduced": "Networks do share more",
    "refuted": "That networks share more is refuted",
    "inconclusive": "Whether networks share more is not decided",
}  # verdict on what is shared beyond one Gaussian -> what is said of it
Items = Mapping[str, Mapping[str, Any]]  # evidence of one kind by name


def judged(claim: Mapping[str, Any], kind: str) -> Items:
    """Evidence of one kind by name; nothing unless all that the first sentence takes was measured."""
    items = {item["name"]: item for item in claim["evidence"] if item["kind"] == kind}
    return items if {GAP, GAP_BEFORE, LARGEST, BEFORE} <= items.keys() else {}


def size(audit: Mapping[str, Any], kind: str) -> str:
    """Pictures, networks and length of what a run trained, in brackets; nothing for networks from elsewhere."""
    preset = audit.get("preset")
    if not preset or not preset.get("parameters") or (kind == "full" and not preset.get("full")):
        return ""
    side, shown = preset["train"]["image_size"], preset["train"]["exposures"] * preset["train"]["epochs"]
    return (
        f" ({side}x{side} pixels, networks of {number(preset['parameters'])} parameters shown {number(shown)} images)"
    )


def sure(audit: Mapping[str, Any], measured: Mapping[str, Items], rule: Mapping[str, Any]) -> str:
    """The two differences that the sentence rests on, with their intervals and what they were held against."""
    told: list[str] = []
    within, above = rule["gap_within"], rule["gap_above"]
    for kind, items in measured.items():
        last, first = items[GAP], items[GAP_BEFORE]
        inside = "inside" if max(map(abs, last["interval"])) <= within else "not inside"
        apart = "above" if first["interval"][0] > above else "not above"
        where = f"On {CORPORA[kind]}, at" if len(measured) > 1 else "At"
        at = [f"N = {number(items[name]['value'])}" for name in (LARGEST, BEFORE)]
        few = f", the smallest {FEW_COPIES}," if items[BEFORE]["value"] < items[LARGEST]["value"] else ""
        full = (
            f"{where} {at[0]} the two differ by {_told(last)}, {inside} the ±{within:g} that counts as no difference; "
            f"at {at[1]}{few} by {_told(first)}, {apart} the {above:g} that counts as one."
        )
        brief = f"On {CORPORA[kind]} by {_told(last)}, {inside}, and at {at[1]} by {_told(first)}, {apart}."
        told += [brief if told else full, _by_published(items), _stands(audit, kind)]
    varies = {str(items[GAP]["varies"]) for items in measured.values() if items[GAP].get("varies")}
    return " ".join(filter(None, [*told, f"Intervals over {' or '.join(sorted(varies))}." if varies else ""]))


def _by_published(items: Items) -> str:
    """The first of these differences by the published sampler; nothing where nobody measured it."""
    found = items.get(GAP_AT.format(items[LARGEST]["value"]))
    return f"By the published sampler, which adds noise of its own, the first is {_told(found)}." if found else ""


def beyond(audit: Mapping[str, Any], kind: str, items: Items) -> str:
    """What two linear denoisers agree by, and whether networks share more than that; nothing where it is not known."""
    found = next((claim for claim in audit["claims"] if claim["id"] == BEYOND), None)
    own = {item["name"]: item for item in found["evidence"] if item["kind"] == kind} if found else {}
    rows = own.get(BY_SIZE, {}).get("value", [])
    floors = [row for row in rows if (row["measure"], row["sampler"]) == (FLOOR, NOISELESS)]
    if found is None or not floors or RESIDUAL not in own or kind not in found["verdicts"]:
        return ""
    floor = max(floors, key=lambda row: row["N"])["value"]
    held = (
        "no less than the networks: agreement by itself says little"
        if floor >= items[AT_LARGEST[0]]["value"]
        else "less than the networks"
    )
    verdict, more = found["verdicts"][kind], ", as much as between two trainings on the same images"
    if verdict != "reproduced":
        more = _missed(found, kind, own)
    return (
        "Two linear denoisers that know nothing but the halves' means and covariances agree by "
        f"{floor:.2f} from the same noise (the floor in the figure), {held}. {SHARED[verdict]}: what one Gaussian of "
        f"all images leaves of each sample agrees across halves by {_told(own[RESIDUAL])} above other noise{more}."
    )


def unknown(audit: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """What this run leaves open of the central claim, and how many other claims are open."""
    asked = [kind for kind in claim["kinds"] if kind in CORPORA and kind not in UNASKED]
    missing = [CORPORA[kind] for kind in asked if kind not in claim["verdicts"]]
    told = [f"whether it holds on {' and on '.join(missing)}, which this run did not measure"] if missing else []
    opened = [one for one in audit["claims"] if one["verdict"] in ("inconclusive", "blocked", "not yet tested")]
    bears = [one for one in opened if one["id"] in BEARS]
    told += _longer(audit, claim)
    told += [f"“{one['title']}” is {one['verdict']}{_where(one)}" for one in bears]
    others = [one["verdict"] for one in opened if one["id"] not in BEARS]
    numbers = {verdict: others.count(verdict) for verdict in dict.fromkeys(others)}
    counts = [f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in numbers.items()]
    text = f"{'; '.join(told) or 'nothing that the ledger asks of the central claim'}."
    text = text[0].upper() + text[1:]
    return text + (f" Of the other claims {' and '.join(counts)}." if counts else "")


def _longer(audit: Mapping[str, Any], claim: Mapping[str, Any]) -> list[str]:
    """That longer training was not judged, where this run trained the networks of the claim."""
    if not any(size(audit, kind) for kind in claim["verdicts"] if kind in CORPORA):
        return []
    train = audit["preset"]["train"]
    shown = train["exposures"] * train["epochs"]
    return [f"whether it lasts in longer training than {number(shown)} images shown: they may not have memorised yet"]


def detail(items: Items) -> str | None:
    """How fine the samples are beside the images that their networks were trained on; None where nobody measured it."""
    found = items.get(DETAIL)
    if found is None:
        return None
    low, high = found["interval"]
    look = "smoother than" if high < 1 else "rougher than" if low > 1 else "about as fine as"
    return (
        f"At N = {number(items[LARGEST]['value'])} samples are {look} the images: of these images' power above 4 "
        f"cycles an image they hold {_told(found)}."
    )


def _missed(claim: Mapping[str, Any], kind: str, own: Items) -> str:
    """What else the claim's checks of one kind ask and did not find, after what was said of the residuals."""
    missed = [one for one in claim.get("checks", []) if one["kind"] == kind and one["outcome"] != "holds"]
    return "".join(
        f"; {called(item, claim)} is {_told(item)}, expected {expected(one['expected'])}"
        for one in missed
        if one["evidence"] != RESIDUAL and (item := own[one["evidence"]])["interval"]
    )


def _where(claim: Mapping[str, Any]) -> str:
    """On which of several kinds of evidence a claim is open; nothing where there is one kind only."""
    verdicts = claim.get("verdicts", {})
    kinds = [CORPORA[kind] for kind, verdict in verdicts.items() if kind in CORPORA and verdict == claim["verdict"]]
    return f" on {' and on '.join(kinds)}" if kinds and len(verdicts) > 1 else ""


def _told(item: Mapping[str, Any]) -> str:
    """A value with its interval and the interval's level."""
    level = item.get("level") or 0.95
    return f"{number(item['value'], item['interval'])} ({100 * level:.0f} % interval {bounds(item['interval'])})"


def _stands(audit: Mapping[str, Any], kind: str) -> str:
    """Whether the verdict stands beside all others of the run, where that was computed."""
    rows = audit.get("multiplicity", {}).get("rows", [])
    row = next((row for row in rows if (row["claim"], row["kind"]) == (CENTRAL, kind)), None)
    if row is None or row["verdict"] == "inconclusive":
        return ""
    n = audit["multiplicity"]["family"]
    stands = "stands" if row["survives"] else "does not stand"
    return f"It {stands} when all {n} verdicts that rest on an interval have to be right at once."

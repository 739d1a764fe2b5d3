"""Claims judged on a pair of denoisers that a user brings, which stands for the largest N (`--models-a`, ...)."""

from typing import Any

from audit.measures.agreement import told
from audit.measures.record import Measures, record
from audit.measures.rules import RESIDUAL_WITHIN, SAME_WITHIN
from core.compare.measured import Measured, over_seeds
from core.compare.overlap import NONE_FOUND
from core.compare.run import Comparison
from core.compare.verdicts import overlapping
from core.stats.crossed import Crossed
from reports.own import GAP, JUDGED, MISMATCHED, NOISELESS, OPTIONS, OWN, PLAIN, RESIDUAL, RESIDUAL_GAP
from reports.record import ClaimRecord


def record_own(evidence: ClaimRecord, own: Comparison | None) -> None:
    """What a claim is judged by on the pair that was brought, if there is one; blocked where that would mean little."""
    if own is None or own.measured is None:
        return
    wanted = JUDGED[evidence.claim.id]
    if own.result["overlap"]["verdict"] != NONE_FOUND:
        why = overlapping(own.result["overlap"]).why
        needs = f"training sets that share nothing, as agreement means little otherwise: {why}"
        evidence.block(kind=OWN, needs=needs, command=f"pytest audit/ {OPTIONS}")
        return
    found = own_measures(own.measured)
    if any(name not in found for name in wanted):
        needs = "a second training on A's images, which says how alike two networks can be"
        evidence.block(kind=OWN, needs=needs, command=f"pytest audit/ {OPTIONS} --ceiling A2")
        return
    seeds = len(own.measured.plain.same)
    about: dict[str, Any] = {"n": seeds, "seeds": f"0:{seeds}", "varies": f"{seeds} sampling seeds, one training each"}
    record(evidence, {name: found[name] for name in wanted}, kind=OWN, **about)


def own_measures(measured: Measured) -> Measures:
    """Every measure that one pair gives, by the name of the ledger."""
    plain, residual = measured.plain, measured.residual
    agreement = told(over_seeds(plain.same))
    found: Measures = {
        MISMATCHED: told(over_seeds(plain.same - plain.weak_threshold)),
        PLAIN: agreement,
        NOISELESS: agreement,
    }
    if residual is not None:
        found[RESIDUAL] = told(over_seeds(residual.same - residual.weak_threshold))
    if measured.gap is not None:
        found[GAP] = _equal(measured.gap, SAME_WITHIN)
    if measured.residual_gap is not None:
        found[RESIDUAL_GAP] = _equal(measured.residual_gap, RESIDUAL_WITHIN)
    return found


def _equal(gap: Crossed, within: float) -> tuple[float, Any, float]:
    test = gap.equivalence(within)
    return test.difference, test.interval, test.pvalue

"""Claims that can be judged on one pair of denoisers of one size, which a user brings: evidence of kind `own`.

The pair stands for the largest N. It is judged by those of a row's checks that look at that size alone, with their own
numbers; what it gives is not recorded in the ledger.
"""

from collections.abc import Sequence
from dataclasses import replace

from reports.ledger import Check, Claim, Ledger

OWN = "own"
OPTIONS = "--models-a A --models-b B --train-a DIR --train-b DIR"
MISMATCHED, PLAIN = "agreement at the largest N above mismatched seeds", "agreement at the largest N"
NOISELESS = "agreement at the largest N, sampler without noise"
GAP = "ceiling minus agreement, largest N"
RESIDUAL, RESIDUAL_GAP = "agreement of residuals above mismatched seeds", "ceiling minus agreement of residuals"
JUDGED = {
    "T-convergence": (MISMATCHED, NOISELESS),
    "K-strong-generalization": (MISMATCHED, PLAIN),
    "K-same-data": (GAP,),
    "K-beyond-gaussian": (RESIDUAL, RESIDUAL_GAP),
}  # row -> evidence that a pair gives


def with_own(ledger: Ledger) -> Ledger:
    """The ledger of a run that is brought a pair: its rows know the kind `own` and what judges it."""
    rows = [_with_own(row, JUDGED[row.id]) if row.id in JUDGED else row for row in ledger.claims]
    return replace(ledger, claims=tuple(rows))


def _with_own(row: Claim, names: Sequence[str]) -> Claim:
    """A row whose checks for all kinds are said for each kind that it had, and those of one size for `own` as well."""
    kinds: list[Check] = []
    for check in row.checks:
        kinds += [check] if check.kind else [replace(check, kind=kind) for kind in row.evidence]
    first = {check.evidence: check for check in reversed(row.checks)}
    own = [replace(first[name], kind=OWN, window={}) for name in names]
    return replace(row, evidence=(*row.evidence, OWN), checks=(*kinds, *own))

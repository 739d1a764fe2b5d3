"""Numbers of the ledger's decision rules ([rules] of `claims.toml`), for the measures that apply them."""

from pathlib import Path

from reports.ledger import load_ledger

RULES = load_ledger(Path(__file__).parents[1] / "claims.toml").rules

COPY_CORRELATION: float = RULES["copies"]["copy_correlation"]  # above it a sample is the training image
NOT_COPIES_BELOW: float = RULES["independent"]["not_copies_below"]  # share of samples; from it on most are copies
LEFT_OUT: float = RULES["copies_left_out"]["copy_correlation"]  # above it a sample has no order of candidates to decide
STRONG: float = RULES["varies"]["strong_above"]  # above it A and B agree strongly
PSNR_MARGIN: float = RULES["indistinguishable"]["psnr_margin_db"]  # within it two PSNR are equal, in dB
GAP_BELOW: float = RULES["gap_shrinks"]["input_psnr_below_db"]  # input PSNR below which the gap is judged, in dB
FALL_ABOVE: float = RULES["gap_shrinks"]["fall_above"]  # fall of the gap from the smallest to the largest N, in dB
CANDIDATES: int = RULES["rerank"]["candidates"]  # nearest training images of which an order is judged
FEASIBLE_HOURS: float = RULES["infeasible"]["hours_above"]  # of one machine; what takes longer is out of reach
NEW_IMAGE_WITHIN: float = RULES["new_image"]["distance_within"]  # of a new image's distance; within it as far as one
NO_PULL_WITHIN: float = RULES["pulled"]["pull_within"]  # within it training faces do not pull, above it they do
SAME_WITHIN: float = RULES["independent"]["gap_within"]  # ceiling minus agreement; within it both are equal
RESIDUAL_WITHIN: float = RULES["beyond_gaussian"]["gap_within"]  # the same of what one Gaussian does not explain

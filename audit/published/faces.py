"""Real faces: criteria of replication calibrated on those recovered, and pairs of denoisers trained on them.

Evidence of T-convergence beside what the published pictures show; no check hangs on it, because neither the networks
nor the copies are the author's.
"""

from typing import Any

import numpy as np

from audit.measures.agreement_tables import agreement_table, mixture_row
from audit.measures.calibration import calibrate_criteria, record_calibration
from audit.measures.networks import nearest_training
from audit.measures.rules import COPY_CORRELATION
from audit.published import plots
from audit.published.measures import SEED
from audit.published.neighbours import embedding
from audit.published.record import put
from core.metrics.lpips import Embedding
from core.metrics.lpips_weights import WeightsMissing
from core.stats.clustered import clustered_share
from fixtures.experiments.desk import GROUPS, TrainedExperiment
from fixtures.experiments.real_faces import RealPair, distinct_faces, real_pairs
from fixtures.published.notebooks import HasRoot
from fixtures.published.tiles import SIDE
from reports.record import ClaimRecord

TRAIN = 200  # of the recovered faces; what is left over, a hundred and more, are the images held out


def lpips_or_none() -> Embedding | None:
    """LPIPS (VGG), or None where its weights are not here."""
    try:
        return embedding("vgg")
    except WeightsMissing:
        return None


def put_calibration(evidence: ClaimRecord, published: HasRoot) -> None:
    """Every criterion on known copies of 200 real faces, the others held out, at 40x40."""
    faces, lpips = distinct_faces(published, SIDE), lpips_or_none()
    rows, curves = calibrate_criteria(faces[:TRAIN], faces[TRAIN:], lpips, seed=SEED)
    images = f"{TRAIN} recovered real faces, {len(faces) - TRAIN} held out"
    record_calibration(evidence, rows, curves, kind="published", images=images, lpips=lpips is not None)


def copies(pair: RealPair) -> np.ndarray:
    """Correlation of each sample with its nearest training image, (groups, seeds)."""
    return np.stack([nearest_training(pair.samples[group], pair.train[group]) for group in GROUPS])


def put_real_pairs(evidence: ClaimRecord, published: HasRoot, desk: TrainedExperiment) -> None:
    """Copies and agreement of pairs of our own on the recovered faces, 64 seeds at N = 10 and N = 100."""
    pairs = real_pairs(desk, published)
    pictures = [evidence.figure(f"own-pairs-{pair.n}", plots.pair_rows(pair)) for pair in pairs]
    side, seeds = desk.preset.train.image_size, desk.seeds
    note = f"own training, the desk's network, on recovered faces pooled to {side}x{side}; no check hangs on it"
    about: dict[str, Any] = {"seeds": f"{seeds.start}:{seeds.stop}", "note": note, "figures": pictures}
    clusters = np.tile(np.arange(len(seeds)), len(GROUPS))
    for pair in pairs:
        found = pair.agreement()
        more = {"n": len(seeds), "varies": "seed; A and B of one taken together", **about}
        near = copies(pair)
        title = f"N = {pair.n}, own pairs on real faces"
        put(evidence, f"share of copies, {title}", clustered_share(near.ravel() > COPY_CORRELATION, clusters), **more)
        put(evidence, f"agreement, {title}", found.mean(seed=SEED), **more)
        put(evidence, f"mismatched seeds, 95th percentile, {title}", found.weak_threshold, n=len(found.mismatched))
        put(evidence, f"nearest training image, {title}", float(near.mean()), n=near.size, note=note)
        table = agreement_table(pair.samples["A"], pair.samples["B"], seed=SEED)
        put(evidence, f"agreement in every way, {title}", table, n=len(seeds), note=note)
    mixtures = [mixture_row(pair.agreement(), {"N": pair.n}) for pair in pairs]
    put(evidence, "seeds that agree strongly, in between, weakly, own pairs on real faces", mixtures, note=note)

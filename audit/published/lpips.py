"""What the published nearest images and their printed LPIPS values show (Topeza 2025, sections 2.3, 5.4 and 6.4).

One function a claim, as in `audit.published.figures`.
"""

import numpy as np
import pandas as pd

from audit.measures.rules import LEFT_OUT
from audit.published import measures, neighbours, plots
from audit.published.measures import LARGEST, SEED
from audit.published.record import exact_share, put
from core.metrics.lpips import nearest_lpips
from core.metrics.lpips_weights import COMMAND, WeightsMissing
from core.metrics.neighbours import nearest
from core.metrics.retrieval import recall_by_k
from core.metrics.ssim import ssim
from core.stats import CORRELATION, bootstrap_mean
from core.stats.clustered import clustered_mean, clustered_share
from fixtures.published import reported
from fixtures.published.notebooks import HasRoot, notebook_tiles, published_samples, recovered_faces
from reports.record import ClaimRecord

STRETCHED = "the tiles are contrast-stretched, which LPIPS notices"
SEED_0 = "all thirty samples start from seed 0: what varies is the model"
MODELS = "models (experiment and group), the samples of one taken together"


def published_rank_inversion(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-rank-inversion: share of samples whose nearest changes, copies apart, and what the order carries."""
    tiles, rows = notebook_tiles(published), reported.reported_neighbours()
    samples, candidates = neighbours.neighbour_pairs(tiles, rows)
    control = ssim(samples, candidates)
    table = neighbours.reranking(rows, control)
    models = (table.experiment + table.group).to_numpy()
    pictures = [
        evidence.figure("published-ranks", plots.plot_ranks(rows)),
        evidence.figure("published-nearest", plots.nearest_strips(tiles, "no_overlap", "A")),
    ]
    more = {"varies": "sample (three experiments, two groups, set sizes)", "figures": pictures}
    for copy, name in ((False, "not copies"), (True, "copies")):
        part = table[table["copy"] == copy]
        n = len(part)
        put(
            evidence,
            f"share whose nearest changes, {name}",
            exact_share(int(part.changed.sum()), n),
            n=n,
            note=SEED_0,
            **more,
        )
        for column, what in (("tau", "correlation"), ("tau_control", "a control metric")):
            interval = bootstrap_mean(part[column], seed=SEED, over="samples")
            text = "structural similarity of the tiles, window 7" if column == "tau_control" else None
            name_tau = f"Kendall's tau of LPIPS with {what}, {name}"
            put(evidence, name_tau, (float(part[column].mean()), interval), n=n, note=text, **more)
    fresh = ~table["copy"].to_numpy()
    about = {"n": len(set(models[fresh])), "varies": "model"}
    by_model = clustered_share(table.changed.to_numpy()[fresh], models[fresh])
    put(evidence, "share whose nearest changes, not copies, over models", by_model, note=SEED_0, **about)
    controlled = table.tau_control.to_numpy()[fresh]
    tau = clustered_mean(controlled, models[fresh], seed=SEED, over=MODELS, possible=CORRELATION)
    put(evidence, "Kendall's tau of LPIPS with a control metric, not copies, over models", tau, **about)
    put(evidence, "chance level of the share", 0.9, note="1 - 1/k for an unrelated ranking of k = 10")
    largest = table[table.n_label == LARGEST]
    put(evidence, "share at the largest sizes", exact_share(int(largest.changed.sum()), len(largest)), n=len(largest))
    examples = reported.reported_examples().groupby("figure_11")
    changed = sum(int(e.lpips_vgg.idxmin() != e.correlation.idxmax()) for _, e in examples)
    put(evidence, "figures 10 and 11: nearest changes", changed, n=2, note="five candidates each are shown, not ten")
    found, missing = neighbours.backbones(rows, samples, candidates, control)
    note = f"computed from the tiles; {STRETCHED}" + "".join(f"; {text}" for text in missing)
    put(evidence, "other backbones and sizes, not copies", found.to_dict("records"), note=note)
    put(evidence, "by sample", table.round(3).to_dict("records"))


def published_lpips_protocol(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-lpips-protocol: printed values against LPIPS of the tiles: stated protocol, other range, random trunk, trap."""
    rows = reported.reported_neighbours()
    samples, candidates = neighbours.neighbour_pairs(notebook_tiles(published), rows)
    try:
        network = neighbours.embedding("vgg")
    except WeightsMissing as error:
        evidence.block(kind="published", needs=f"the weights of LPIPS ({error})", command=COMMAND)
        return
    computed = neighbours.by_protocol(network, samples, candidates)
    printed = rows.lpips_vgg.to_numpy().reshape(-1, 10)
    use = rows.correlation.to_numpy().reshape(-1, 10) <= LEFT_OUT  # a copy scores near 0 with any network
    first, other, drawn = computed.values()
    pictures = [evidence.figure("published-lpips", plots.plot_lpips(printed, computed, use))]
    more = {"n": int(use.sum()), "varies": "sample", "figures": pictures}
    against = neighbours.follows(printed, first, drawn, use)
    put(evidence, "correlation with the printed values, stated protocol", against["computed"], **more)
    put(evidence, "correlation with the printed values, random trunk", against["other"], **more)
    put(evidence, "stated protocol minus random trunk", against["difference"], **more)
    ranges = neighbours.follows(printed, first, other, use)
    put(evidence, "correlation with the printed values, inputs left in [0, 1]", ranges["other"], **more)
    put(evidence, "stated protocol minus inputs left in [0, 1]", ranges["difference"], **more)
    off = {name: (np.abs(values - printed) * use).sum(axis=1) / use.sum(axis=1) for name, values in computed.items()}
    for name, values in off.items():
        found = (float(values.mean()), bootstrap_mean(values, seed=SEED, over="samples"))
        put(
            evidence,
            f"mean absolute difference from the printed values, {name}",
            found,
            n=len(values),
            note=STRETCHED,
        )
    own, left = list(off.values())[:2]
    put(
        evidence,
        "the same, inputs left in [0, 1] minus stated",
        measures.paired(left, own, over="samples"),
        n=len(own),
        varies="sample",
    )
    by_n = neighbours.correlation_by_size(rows, printed, first, use).to_dict("records")
    put(evidence, "correlation with the printed values by set size, stated protocol", by_n, note=STRETCHED)
    # the published code divides by 255 whatever exceeds 1.1, which samples may and training images in [0, 1] do not
    trapped = neighbours.lpips_of(network, samples / 255, candidates)
    fell = neighbours.nearer_to(printed, trapped, first)
    note = "a sample above 1.1 would have been divided by 255, its candidates not"
    put(evidence, "samples whose printed values lie nearer to the trap of 255", exact_share(int(fell.sum()), len(fell)),
        n=len(fell), varies="sample", note=note)  # fmt: skip
    ranges_of = {"printed": printed, "stated protocol": first, "divided by 255": trapped}
    means = [
        {"values": name, "smallest mean of a sample": x.mean(1).min(), "largest": x.mean(1).max()}
        for name, x in ranges_of.items()
    ]
    put(evidence, "mean LPIPS of a sample's ten candidates", pd.DataFrame(means).to_dict("records"), n=len(printed))


def published_lpips_exhaustive(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-lpips-exhaustive: the published samples searched among all recovered faces, exactly."""
    try:
        network = neighbours.embedding("vgg")
    except WeightsMissing as error:
        evidence.block(kind="published", needs=f"the weights of LPIPS ({error})", command=COMMAND)
        return
    samples, faces = published_samples(published).images, recovered_faces(published).images
    seeds = measures.sample_seeds(notebook_tiles(published))
    true = nearest_lpips(network, samples, faces, 1)
    by_correlation = nearest(samples, faces, 10)
    truth, index = true.index[:, 0].numpy(), by_correlation.index.numpy()
    copy = by_correlation.value[:, 0].numpy() > LEFT_OUT
    apart = neighbours.package_difference(network, samples[:16], faces[truth[:16]], true.value[:16, 0])
    put(evidence, "largest relative difference from the lpips package", apart, n=16, note=f"{len(faces)} faces ranked")
    pictures = [evidence.figure("published-search", plots.search_strips(samples, faces, index, truth, ~copy))]
    about = {"varies": "sample; those of one seed taken together", "figures": pictures}
    outside = ~(index == truth[:, None]).any(axis=1)
    selected = (
        f"the {len(faces)} faces are in print because they were nearest by correlation to some sample: among all "
        "training images more would lie outside"
    )
    found = clustered_share(outside, seeds)
    put(evidence, "share whose LPIPS-nearest is outside the ten", found, n=len(samples), note=selected, **about)
    put(
        evidence,
        "share whose LPIPS-nearest is outside the ten, not copies",
        clustered_share(outside[~copy], seeds[~copy]),
        n=int((~copy).sum()),
        **about,
    )
    changed = truth[~copy] != index[~copy, 0]
    put(
        evidence,
        "share whose nearest changes, not copies",
        clustered_share(changed, seeds[~copy]),
        n=int((~copy).sum()),
        **about,
    )
    recall = [
        {"k": k, "share of all samples": all_of[0], "from": all_of[1].low, "to": all_of[1].high, "not copies": rest[0]}
        for k, (all_of, rest) in enumerate(
            zip(recall_by_k(truth, index), recall_by_k(truth[~copy], index[~copy]), strict=True), start=1
        )
    ]
    note = "Clopper-Pearson over samples; the row of k = 10 is one minus the share outside the ten"
    put(evidence, "LPIPS-nearest among the first k by correlation", recall, n=len(samples), note=note)
    put(evidence, "samples searched", len(samples), note=f"{len(faces)} recovered faces; {STRETCHED}")


PUBLISHED = {
    "T-rank-inversion": published_rank_inversion,
    "T-lpips-protocol": published_lpips_protocol,
    "T-lpips-exhaustive": published_lpips_exhaustive,
}

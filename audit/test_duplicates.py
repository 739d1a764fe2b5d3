"""Claims on near-duplicate removal: what the blockwise procedure removes, what memory it takes (T 3.3, 3.4, 8)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audit.measures.attribute_duplicates import exempt_measures, one_corpus, record_exempt, redundancy, removable
from audit.measures.dedup_memory import CELEBA_IMAGES, dense_gigabytes, hundreds, measured_peak, record_block_memory
from audit.measures.duplicates import (
    compare_procedures,
    count_on_celeba,
    dedup_counts,
    noise_images,
    planted_pairs,
    record_equivalence,
)
from audit.measures.metadata import blocked_in_part
from audit.measures.real_duplicates import (
    PARTITION,
    looked_at,
    planted_pictures,
    precision_measures,
    record_dedup_precision,
    record_identity_near_duplicates,
    shared_across,
)
from core.data.corpus import Corpus
from core.dedup.pairs import THRESHOLD, Pairs, kept
from core.dedup.published import remove_repeats
from core.dedup.search import near_duplicates
from fixtures.experiments.clothes import Clothes
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- equivalence


@pytest.mark.claim("T-dedup-equivalence")
def test_equivalence(evidence: ClaimRecord) -> None:
    record_equivalence(evidence)


@pytest.mark.control("T-dedup-equivalence", "positive")
def test_a_loop_that_compares_whole_numbers_is_equivalent(judge: Judge) -> None:
    def exact(rows: torch.Tensor, threshold: float, block: int) -> list[int]:
        del block
        return kept(near_duplicates(rows, threshold=threshold), len(rows)).removed.tolist()

    corpora = [(noise_images(300, planted_pairs(300, 50, seed), seed), 50) for seed in range(3)]
    assert judge("T-dedup-equivalence", compare_procedures(corpora, exact)) == "reproduced"


@pytest.mark.control("T-dedup-equivalence", "negative")
@pytest.mark.parametrize("gap", [0, 1])
def test_lost_and_invented_removals_are_noticed(judge: Judge, gap: int) -> None:
    def broken(rows: torch.Tensor, threshold: float, block: int) -> list[int]:
        removed = remove_repeats(rows, threshold)
        return removed[1:] if gap else [*removed, 0]

    corpora = [(noise_images(300, [(10, 20), (30, 40)], 0), 50)]
    assert judge("T-dedup-equivalence", compare_procedures(corpora, broken)) == "refuted"


# ------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.claim("T-dedup-dense-memory")
def test_dense_memory(evidence: ClaimRecord) -> None:
    evidence.add(
        "dense_matrix",
        dense_gigabytes(CELEBA_IMAGES),
        kind="arithmetic",
        unit="GB",
        note=f"{CELEBA_IMAGES:,}^2 x 4 bytes",
    )


@pytest.mark.control("T-dedup-dense-memory", "positive")
def test_the_allocation_is_what_is_asked_for(judge: Judge) -> None:
    n = 1000
    measured = torch.empty(n, n).nbytes * (CELEBA_IMAGES / n) ** 2 / 1e9
    assert judge("T-dedup-dense-memory", {"dense_matrix": round(measured)}) == "reproduced"


@pytest.mark.control("T-dedup-dense-memory", "negative")
@pytest.mark.parametrize("images", [CELEBA_IMAGES // 2, 203_600])
def test_another_count_is_another_matrix(judge: Judge, images: int) -> None:
    assert judge("T-dedup-dense-memory", {"dense_matrix": dense_gigabytes(images)}) == "refuted"


@pytest.mark.claim("T-dedup-block-memory")
def test_block_memory(evidence: ClaimRecord) -> None:
    record_block_memory(evidence)


@pytest.mark.control("T-dedup-block-memory", "positive")
def test_a_peak_of_four_hundred_megabytes_is_measured_as_such(judge: Judge) -> None:
    """7,071-image blocks are what '2 x b^2 x 4 = 400 MB' means; the same measurement finds about that."""
    assert judge("T-dedup-block-memory", {"expression": hundreds(2 * 7071**2 * 4 / 1e6)}, "arithmetic") == "reproduced"
    found = measured_peak(7071, 20, 7071, products=1)
    temporaries = found["peak"] - found["pooled"]
    assert 350 < temporaries < 500  # two matrices of 200 MB and a mask of 50 MB, some of it in memory freed before


@pytest.mark.control("T-dedup-block-memory", "negative")
@pytest.mark.parametrize("block", [2500, 10_000])
def test_other_blocks_have_another_peak(judge: Judge, block: int) -> None:
    verdict = judge("T-dedup-block-memory", {"expression": hundreds(2 * block**2 * 4 / 1e6)}, "arithmetic")
    assert verdict == "refuted"


# -------------------------------------------------------------------------------------------------------------- count


@pytest.mark.claim("T-dedup-count")
def test_count(evidence: ClaimRecord, celeba_dir: Path | None, published_or_none: Published | None) -> None:
    if celeba_dir is None or blocked_in_part(evidence, celeba_dir):
        return
    found, note = count_on_celeba(celeba_dir, published_or_none)
    for name, value in found.items():
        evidence.add(name, value, kind="celeba", n=found["before"], note=note)


@pytest.mark.control("T-dedup-count", "positive")
def test_planted_counts_are_found(judge: Judge) -> None:
    """At 1/100 of the size: as many copies as printed are found; scaled, the printed counts judge as reproduced."""
    pairs = [(k, k + 1) for k in range(0, 128, 2)]
    found = dedup_counts(near_duplicates(noise_images(2026, pairs, 0)), 2026)
    assert found == {"before": 2026, "removed": 64, "kept": 1962}
    assert judge("T-dedup-count", {"before": 202_589, "removed": 6_354, "kept": 196_235}) == "reproduced"


@pytest.mark.control("T-dedup-count", "negative")
def test_one_missed_image_is_another_count(judge: Judge) -> None:
    assert judge("T-dedup-count", {"before": 202_589, "removed": 6_353, "kept": 196_236}) == "refuted"


# ---------------------------------------------------------------------------------------------------------- precision


@pytest.mark.claim("T-dedup-precision")
def test_precision(
    evidence: ClaimRecord, orl_or_none: Corpus | None, celeba_dir: Path | None, clothes_or_none: Clothes | None
) -> None:
    record_dedup_precision(evidence, orl_or_none, celeba_dir, clothes_or_none)


@pytest.mark.control("T-dedup-precision", "positive")
def test_copies_lit_and_encoded_anew_are_one_photograph(judge: Judge) -> None:
    small, full = planted_pictures(30, likes=0)
    assert judge("T-dedup-precision", precision_measures(looked_at(small, full)), "celeba") == "reproduced"


@pytest.mark.control("T-dedup-precision", "negative")
@pytest.mark.parametrize("likes", [30, 60])
def test_pictures_alike_at_small_size_only_are_not(judge: Judge, likes: int) -> None:
    small, full = planted_pictures(60 - likes, likes=likes)
    assert judge("T-dedup-precision", precision_measures(looked_at(small, full)), "celeba") == "refuted"


@pytest.mark.claim("T-identity-near-duplicates")
def test_one_photograph_on_two_sides(
    evidence: ClaimRecord, celeba_dir: Path | None, published_or_none: Published | None
) -> None:
    record_identity_near_duplicates(evidence, celeba_dir, published_or_none)


@pytest.mark.control("T-identity-near-duplicates", "positive")
def test_likenesses_and_copies_on_one_side_are_not_shared(judge: Judge) -> None:
    small, full = planted_pictures(10, likes=10)
    side = np.arange(len(small)) // 2 % 2  # copies together; likenesses apart
    side[20:] = np.arange(20) % 2
    found = {PARTITION: shared_across(looked_at(small, full), side), "identities on more than one side": 0}
    assert judge("T-identity-near-duplicates", found, "celeba") == "reproduced"


@pytest.mark.control("T-identity-near-duplicates", "negative")
def test_one_copy_under_another_identity_is_found(judge: Judge) -> None:
    small, full = planted_pictures(10, likes=10)
    side = np.arange(len(small)) // 2 % 2
    side[1] = 1 - side[0]
    shared = shared_across(looked_at(small, full), side)
    assert shared == 1
    found = {PARTITION: shared, "identities on more than one side": 0}
    assert judge("T-identity-near-duplicates", found, "celeba") == "refuted"


# --------------------------------------------------------------------------------------------------- attribute splits


@pytest.mark.claim("T-dedup-attribute-exempt")
def test_attribute_exempt(evidence: ClaimRecord, celeba_dir: Path | None, published_or_none: Published | None) -> None:
    record_exempt(evidence, celeba_dir, published_or_none)


@pytest.mark.control("T-dedup-attribute-exempt", "positive")
def test_few_planted_copies_are_slightly_more(judge: Judge) -> None:
    """Two images of a hundred are planted copies of others."""
    corpora = [one_corpus(seed, 1000, duplicates=0.02) for seed in range(4)]
    assert judge("T-dedup-attribute-exempt", exempt_measures(corpora)) == "reproduced"


@pytest.mark.control("T-dedup-attribute-exempt", "negative")
@pytest.mark.parametrize("duplicates", [0.0, 0.3])
def test_no_copies_and_many_copies_are_caught(judge: Judge, duplicates: float) -> None:
    """Without copies redundancy is not higher; where a third of the images are copies it is not slightly higher."""
    corpora = [one_corpus(seed, 1000, duplicates=duplicates) for seed in range(4)]
    assert judge("T-dedup-attribute-exempt", exempt_measures(corpora)) == "refuted"


@pytest.mark.control("T-dedup-attribute-exempt", "positive")
def test_copies_that_keep_their_attribute_stay_inside() -> None:
    """All copies share their original's attribute: nothing crosses the halves, and half of them are removable."""
    i = np.arange(0, 40, 2)
    pairs = Pairs(i, i + 1, np.full(20, 0.99), THRESHOLD)
    a, b = np.arange(200), np.arange(200, 400)
    assert redundancy(pairs, a, b) == {"inside": 0.1, "across": 0.0}
    assert (removable(pairs, a), removable(pairs, b)) == (0.1, 0.0)


@pytest.mark.control("T-dedup-attribute-exempt", "negative")
def test_copies_planted_across_the_halves_are_counted() -> None:
    """Every copy gets the other attribute: all of them cross, and none can be removed inside a half."""
    i = np.arange(20)
    pairs = Pairs(i, i + 200, np.full(20, 0.99), THRESHOLD)
    a, b = np.arange(200), np.arange(200, 400)
    assert redundancy(pairs, a, b) == {"inside": 0.0, "across": 0.1}
    assert removable(pairs, a) == removable(pairs, b) == 0.0

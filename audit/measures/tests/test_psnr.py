"""The train-test gap beside the published one."""

import numpy as np
import pandas as pd
import pytest

from audit.measures.made_up import made_up_curves
from audit.measures.networks import LEVELS
from audit.measures.psnr import gap_beside_published, psnr_rows
from audit.measures.record import SEED


def test_the_published_gap_is_read_between_its_levels_and_left_out_above_the_axis() -> None:
    drawn = pd.DataFrame({"images": 10, "input_db": [10.0, 20.0, 30.0], "gap_db": [4.0, 8.0, np.nan], "error_db": 0.1})
    ours = psnr_rows({4: made_up_curves(6.0, 0)}, LEVELS, seed=SEED)
    assert [(row["N"], row["input dB"]) for row in ours] == [(4, level) for level in LEVELS]
    assert all(row["gap from"] < 6 < row["gap to"] and row["train"] - row["test"] == row["gap"] for row in ours)
    found = gap_beside_published(ours, drawn, LEVELS)
    assert [row["gap"] for row in found if row["source"] == "here"] == [row["gap"] for row in ours]
    published = {row["input dB"]: (row["gap"], row["from"]) for row in found if row["source"] == "published"}
    assert set(published) == {20.0, 16.0, 12.0}, "28 and 24 dB have a neighbour above the axis, 8 dB and less none"
    assert published[12.0] == pytest.approx((4.8, 4.7))

"""The order of growth of memory in near-duplicate removal (Topeza 2025, section 3.3)."""

import pytest
import torch
from torch import Tensor

from audit.measures.memory_order import order_measures, record_memory_order
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-block-memory-order")
def test_working_memory_by_images_and_block(evidence: ClaimRecord) -> None:
    record_memory_order(evidence)


@pytest.mark.control("T-block-memory-order", "positive")
def test_a_loop_over_blocks_that_keeps_nothing_is_of_that_order(judge: Judge) -> None:
    def frugal(rows: Tensor, threshold: float, block: int) -> None:
        work = torch.empty(block, block)
        for a in rows.split(block):
            for b in rows.split(block):
                if len(a) == len(b) == block:
                    torch.mm(a, b.T, out=work).abs_()

    assert judge("T-block-memory-order", order_measures(blockwise=frugal)) == "reproduced"


@pytest.mark.control("T-block-memory-order", "negative")
@pytest.mark.parametrize("defect", ["blocks are kept", "whole strips", "a dense procedure in blocks"])
def test_a_procedure_of_another_order_is_caught(judge: Judge, defect: str) -> None:
    def keeping(rows: Tensor, threshold: float, block: int) -> list[Tensor]:
        return [a @ b.T for a in rows.split(block) for b in rows.split(block)]

    def strips(rows: Tensor, threshold: float, block: int) -> None:
        for a in rows.split(block):
            a @ rows.T

    def in_blocks(rows: Tensor, threshold: float) -> None:
        for a in rows.split(100):
            for b in rows.split(100):
                a @ b.T

    found = {
        "blocks are kept": lambda: order_measures(blockwise=keeping),
        "whole strips": lambda: order_measures(blockwise=strips),
        "a dense procedure in blocks": lambda: order_measures(dense=in_blocks),
    }[defect]()
    assert judge("T-block-memory-order", found) == "refuted"

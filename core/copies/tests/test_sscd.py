"""Vectors of a copy detector from an ONNX file: their preprocessing, batches, similarity, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.copies.options import Options
from core.copies.run import find_copies
from core.copies.search import Queries
from core.copies.sscd import Sscd, sscd_scores, vectors
from core.copies.tests.made_up import images
from core.copies.tests.test_copies import TRAIN, ask, row
from core.errors import InputError
from core.metrics.known_copies import perturb

onnx = pytest.importorskip("onnx")
SIDE, WIDTH = 24, 32


def network(path: Path, *, batch: int | str = "n", side: int | str = SIDE) -> Path:
    """A network of one random linear map, as an ONNX file."""
    helper, kind = onnx.helper, onnx.TensorProto
    weight = np.random.default_rng(0).standard_normal((3 * SIDE * SIDE, WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", kind.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("vector", kind.FLOAT, [batch, WIDTH])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def by_hand(pictures: torch.Tensor) -> np.ndarray:
    weight = np.random.default_rng(0).standard_normal((3 * SIDE * SIDE, WIDTH)).astype(np.float32)
    x = functional.interpolate(pictures.repeat(1, 3 // pictures.shape[1], 1, 1), (SIDE, SIDE), mode="bilinear",
                               antialias=True)  # fmt: skip
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    flat = ((x.numpy() - mean[:, None, None]) / deviation[:, None, None]).reshape(len(x), -1)
    out = flat @ weight
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


@pytest.mark.parametrize("batch", ["n", 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_prepared_as_published(tmp_path: Path, batch: int | str, channels: int) -> None:
    pictures = images(10, 0, size=40, channels=channels)
    found = Sscd(network(tmp_path / "d.onnx", batch=batch)).embed(pictures)
    np.testing.assert_allclose(found, by_hand(pictures), atol=1e-4)


def test_similarity_leaves_out_the_own_group(tmp_path: Path) -> None:
    pictures = images(30, 0)
    detector = Sscd(network(tmp_path / "d.onnx"))
    asked = Queries(lambda part: pictures[part], 30, np.arange(30))
    found = vectors(detector, asked, tmp_path / "w")
    np.testing.assert_array_equal(found, vectors(detector, asked, tmp_path / "w"))  # kept
    matrix = by_hand(pictures) @ by_hand(pictures).T
    np.fill_diagonal(matrix, -np.inf)
    np.testing.assert_allclose(sscd_scores(found, np.arange(30), found, np.arange(30)), matrix.max(axis=1), atol=1e-4)
    whole = sscd_scores(found, np.full(30, -1), found, np.arange(30))
    np.testing.assert_allclose(whole, 1, atol=1e-5)


def test_the_criterion_stands_beside_the_others(tmp_path: Path) -> None:
    asked = ask(tmp_path, perturb(TRAIN[:40], "noise", 0.01, seed=0))
    result = find_copies(asked, Options(lpips="off", sscd=network(tmp_path / "d.onnx")), tmp_path / "work").result
    sscd = row(result, "sscd")
    assert sscd["published"] == 0.5 and sscd["samples"]["copies"] == 40 and "SSCD" not in result["not_looked_at"]
    assert "SSCD" in result["any"]["of"] and sscd["training images"]["n"] == 400


def test_what_is_no_detector_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"--sscd .*no.onnx: not a readable ONNX file"):
        Sscd(tmp_path / "no.onnx")
    with pytest.raises(InputError, match=r"--sscd .*gone.onnx: no such file"):
        Sscd(tmp_path / "gone.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs onnxruntime; `pip install 'samenoise\[onnx\]'`"):
        Sscd(tmp_path / "no.onnx")

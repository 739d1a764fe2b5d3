"""The examples of the README, run as they stand, one after the other."""

import re
import sys
from pathlib import Path

import pytest
import torch

import core.denoisers
from core.denoisers.tests.small_unets import diffusers, saved, small_unet
from core.denoisers.tests.test_loading import store_of
from core.denoisers.tests.test_loading_programs import Scaled, exported
from core.denoisers.unet import UNet

README = Path(core.denoisers.__file__).with_name("README.md")


@pytest.mark.usefixtures("one_thread")
def test_every_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "my-pipeline", small_unet(), diffusers.DDPMScheduler())
    record = store_of(tmp_path / "runs")
    torch.save(UNet(4, 2, generator=torch.Generator().manual_seed(0)).state_dict(), tmp_path / "model.pt")
    for kind in ("onnx", "pt2"):
        exported(tmp_path, kind, Scaled())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # a module of this name that another test brought
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 8
    names: dict[str, object] = {}
    for example in examples:
        exec(example.replace('"3f2a"', repr(record.key[:8])), names)
    images = names["images"]
    assert isinstance(images, torch.Tensor) and images.shape == (4, 1, 16, 16)
    assert capsys.readouterr().out.startswith(("True", "False"))

"""What cannot be compared ends with one line that names it, and with exit code 2."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audit.cli import main
from core.copies.tests.made_up import images
from core.denoisers.tests.small_unets import diffusers, saved, small_unet

DENOISERS = """
import torch
from core.denoisers.oracles import Gaussian
from core.denoisers.protocol import Told
from core.copies.tests.made_up import images

LEVELS = {"data_range": (0, 1), "sigma_min": 0.01, "sigma_max": 50}

def linear(seed, side=8):
    oracle = Gaussian.from_images(images(300, seed, size=side))
    return Told(lambda x, s: oracle.denoise(x, float(s[0])).to(x.dtype), shape=(1, side, side), **LEVELS)

a = lambda: linear(0)
b = lambda: linear(1)
wide = lambda: linear(1, 16)
low = lambda: Told(linear(1), shape=(1, 8, 8), data_range=(0, 1), sigma_min=0.001, sigma_max=0.005)

def broken():
    inner = linear(1)
    far = lambda x, s: torch.full_like(x, torch.nan)
    return Told(lambda x, s: far(x, s) if s[0] > 20 or x.isnan().any() else inner(x, s), shape=(1, 8, 8), **LEVELS)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Denoisers in a file of the user's own, and two training sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(DENOISERS)
    for name, seed in (("a", 0), ("b", 1)):
        np.save(f"{name}.npy", images(300, seed, size=8).numpy())
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line with which `samenoise compare` ends; its exit code is 2."""
    with pytest.raises(SystemExit) as end:
        main(["compare", *map(str, words)])
    told = capsys.readouterr()
    assert end.value.code == 2 and told.err.count("\n") == 1 and told.out == ""
    assert "unexpected" not in told.err and not list(Path().glob(".samenoise-compare*"))
    return told.err


PAIR = ("mine:a", "mine:b", "--levels", 4)
SETS = ("--train-a", "a.npy", "--train-b", "b.npy")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mine:a", "mine:wide", *SETS), "B: draws images of 1x16x16 (channels, height, width), A of 1x8x8"),
        ((*PAIR, *SETS, "--ceiling", "mine:wide"), "ceiling: draws images of 1x16x16"),
        ((*PAIR, *SETS, "--seeds", 20, "--ceiling", "mine:a"), "ceiling: draws the very same images as A, bit for bit"),
        (("mine:a", "mine:a", *SETS), "B: draws the very same images as A, bit for bit; expected two networks"),
        (("mine:a", "mine:low", *SETS), "know no noise level in common (in units of [0, 1]: A 0.01 to 50"),
        (("net.pkl", "mine:b", *SETS), "net.pkl: a pickle, which executes code when it is opened, is not opened"),
        (("nothing", "mine:b", *SETS), "nothing: no such file or folder; expected a diffusers folder"),
        ((*PAIR, *SETS, "--seeds", 1), "--seeds: got 1, expected at least 2"),
        ((*PAIR, *SETS, "--seeds", 10, "--at-least", 0.5), "--seeds 10: expected at least 20 beside --at-least"),
        ((*PAIR, *SETS, "--seeds", 64, "--at-most", 0.01), "--at-most 0.01: found 64 samples, expected at least 368"),
        ((*PAIR, *SETS, "--at-least", 1.5), "--at-least: got 1.5, expected a correlation between -1 and 1"),
        ((*PAIR, *SETS, "--sampler", "euler"), "--sampler: got 'euler', expected one of heun, ddim, dpm-solver++"),
        ((*PAIR, *SETS, "--shape", "8x8"), "--shape: got '8x8', expected C,H,W such as 1,40,40"),
        ((*PAIR, *SETS, "--model-range", "one"), "--model-range: got 'one', expected LOW:HIGH"),
        ((*PAIR, "--train-a", "a.npy", "--train-b", "none"), "none: expected a saved corpus"),
        ((*PAIR, "--train-a", "a.npy"), "Missing option '--train-b'"),
        ((*PAIR, *SETS, "--identities", "x", "--identities", "x", "--identities", "x"), "--identities: got 3 files"),
        ((*PAIR, *SETS, "--held-out", "a.npy"), "a.npy: found the same file as"),
        (("mine:broken", "mine:b", *SETS, "--levels", 4), "A: 64 of 64 samples hold values that are not finite"),
    ],
)
@pytest.mark.usefixtures("here", "one_thread")
def test_bad_input(capsys: pytest.CaptureFixture[str], words: tuple[object, ...], message: str) -> None:
    assert message in one_line(capsys, *words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: 2 * x - 1, "b.npy: found training images of B with values from -0.9"),
        (lambda x: 2 * x - 1, "these look like [-1, 1]: save them as (x + 1) / 2"),
        (lambda x: 255 * x, "these look like levels of 0 to 255"),
        (
            lambda x: x[:, :, :7],
            "found training images of B of 1x7x8 (channels, height, width), but the denoisers draw",
        ),
        (lambda x: x[:2], "found 2 training images of B, expected at least 3"),
        (lambda x: x.index_fill(0, torch.tensor([7]), torch.nan), "b.npy: image 7 has a pixel that is NaN"),
    ],
)
@pytest.mark.usefixtures("here", "one_thread")
def test_training_images_of_another_kind(capsys: pytest.CaptureFixture[str], change, message: str) -> None:  # type: ignore[no-untyped-def]
    np.save("b.npy", change(images(300, 1, size=8)).numpy())
    assert message in one_line(capsys, *PAIR, *SETS)


def test_a_conditional_network_is_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(here / "classes", small_unet(num_class_embeds=10), diffusers.DDPMScheduler())
    assert "conditional on a class" in one_line(capsys, "classes", "mine:b", *SETS)


@pytest.mark.usefixtures("one_thread")
def test_a_name_that_means_two_images_needs_two_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.denoisers.tests.trained_unets import folder

    for group, seed in (("A", 0), ("B", 1)):
        folder(here / group, images(30, seed, size=8))
    people = here / "people.txt"
    people.write_text("".join(f"{k:04d}.png {k // 3}\n" for k in range(30)))
    words = (*PAIR, "--train-a", "A", "--train-b", "B", "--identities", people)
    told = one_line(capsys, *words)
    assert "people.txt: image 0000.png is in both sets and is not the same image" in told
    people.write_text("x.png 1\n")
    told = one_line(capsys, *words, "--identities", people)
    assert "images are not there, the first is" in told

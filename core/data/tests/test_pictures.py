"""One picture in every mode, depth and dress: the same pixels for the eye are the same pixels here."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from core.data.pictures import KEEP, Fit, as_floats, read_header, read_image, read_picture, suffixes
from core.data.preprocess import preprocess
from core.errors import InputError
from core.tests.thorough import THOROUGH

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16")
FORMATS = ("PNG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "JPEG", "AVIF", "TGA", "JPEG2000", "QOI", "PCX", "SGI")


def photo(width: int = 60, height: int = 40, seed: int = 0) -> np.ndarray:
    """A smooth (h, w, 3) uint8 picture with no symmetry."""
    y, x = np.mgrid[:height, :width] / 40
    a, b, c = np.random.default_rng(seed).uniform(1, 6, 3)
    waves = [np.sin(a * x + k) + np.cos(b * y * (1 + k)) * x + c * y * y / 4 for k in range(3)]
    return (40 * np.stack(waves, 2) + 100).clip(0, 255).astype(np.uint8)


def oriented(pixels: np.ndarray, orientation: int, path: Path) -> None:
    """Store a picture turned, so that the EXIF tag turns it back."""
    back = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(np.ascontiguousarray(back(pixels))).save(path, exif=exif)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_the_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = photo()
    path = tmp_path / f"x.{suffix}"
    oriented(pixels, orientation, path)
    header = read_header(path, KEEP)
    seen = read_picture(path, KEEP)
    assert header.shape == seen.shape == (3, 40, 60) and "turned" in header.notes
    if suffix != "webp":
        np.testing.assert_array_equal(seen.transpose(1, 2, 0), pixels)
    assert np.abs(as_floats(seen).transpose(1, 2, 0) - pixels / 255).mean() < 0.02


def test_transparency_is_composed_on_white(tmp_path: Path) -> None:
    pixels = photo()
    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[:, 30:] = 0
    Image.fromarray(np.concatenate([pixels, alpha], 2)).save(tmp_path / "rgba.png")
    seen = read_picture(tmp_path / "rgba.png", KEEP)
    np.testing.assert_array_equal(seen[:, :, :30].transpose(1, 2, 0), pixels[:, :30])
    assert (seen[:, :, 30:] == 255).all()
    assert read_header(tmp_path / "rgba.png", KEEP).notes == ("transparent",)
    levels = (pixels[:, :, 0].astype(np.uint16) * 257).clip(1)
    levels[0, :10] = 0
    Image.fromarray(levels).save(tmp_path / "deep.png", transparency=0)
    deep = read_picture(tmp_path / "deep.png", KEEP)
    if "transparent" in read_header(tmp_path / "deep.png", KEEP).notes:
        assert (deep[0, 0, :10] == 1).all() and deep[0, 1, 1] == levels[1, 1] / np.float32(65535)


def test_a_picture_of_several_frames_is_its_first(tmp_path: Path) -> None:
    frames = [Image.fromarray(photo(seed=k)).quantize(64) for k in range(3)]
    for name in ("x.gif", "x.tiff", "x.png", "x.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert "frames" in read_header(tmp_path / name, KEEP).notes
        seen = read_picture(tmp_path / name, KEEP).transpose(1, 2, 0)
        assert np.abs(seen.astype(int) - np.asarray(frames[0].convert("RGB")).astype(int)).mean() < 2


def test_colour_of_sixteen_bits_is_read_at_eight_and_said(tmp_path: Path) -> None:
    cv = photo().astype(">u2") * 257
    head = b"P6 60 40 65535\n"
    (tmp_path / "x.ppm").write_bytes(head + cv.tobytes())
    np.testing.assert_array_equal(read_picture(tmp_path / "x.ppm", KEEP).transpose(1, 2, 0), photo())
    (tmp_path / "x.pgm").write_bytes(b"P5 60 40 65535\n" + cv[:, :, 0].tobytes())
    gray = read_picture(tmp_path / "x.pgm", KEEP)
    np.testing.assert_array_equal(gray[0], cv[:, :, 0].astype(np.float32) / np.float32(65535))


def test_aligned_photographs_are_cropped_as_the_report_prepares_them(tmp_path: Path) -> None:
    image = Image.fromarray(photo(178, 218))
    image.save(tmp_path / "a.png")
    image.convert("RGBA").save(tmp_path / "b.png")
    expected = preprocess(image).numpy()
    for name in ("a.png", "b.png"):
        for fit in (Fit(), Fit("squeeze", 40), KEEP):
            np.testing.assert_array_equal(read_picture(tmp_path / name, fit), expected)
            assert read_header(tmp_path / name, fit).shape == (1, 40, 40)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").numpy(), expected)
    assert read_picture(tmp_path / "a.png", Fit.parse("crop:200:colour")).shape == (3, 200, 200)


@pytest.mark.parametrize("text", ["crop:40", "squeeze:9:colour", "keep", "keep:gray", "keep:colour", "crop:40:gray"])
def test_a_fit_is_one_text(text: str) -> None:
    fit = Fit.parse(text)
    assert Fit.parse(str(fit)) == fit


@pytest.mark.parametrize("text", ["", "crop", "keep:9", "crop:-1", "crop:0", "crop:4:4", "cut:4", "crop:²"])
def test_a_text_that_is_no_fit(text: str) -> None:
    with pytest.raises(InputError, match=r"^fit: got"):
        Fit.parse(text)


def test_suffixes_are_those_that_pillow_decodes_by_itself() -> None:
    assert {".pgm", ".ppm", ".gif", ".webp", ".tiff", ".jfif", ".avif", ".jp2", ".tga", ".bmp"} <= suffixes()
    assert not {".eps", ".ps", ".pdf", ".mpg", ".h5", ".wmf", ".npy", ".txt", ".csv"} & suffixes()


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.webp", "x.tiff", "x.ppm", "x.bmp"])
def test_a_picture_cut_short_is_one_line_that_names_it(tmp_path: Path, name: str) -> None:
    Image.fromarray(photo()).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for part in (0, 3, 30, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:part])
        with pytest.raises(InputError) as error:
            read_picture(tmp_path / name, KEEP)
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@st.composite
def saved_pictures(draw: st.DrawFn) -> tuple[bytes, str]:
    """A picture of any mode in any format that takes it, and its suffix."""
    mode, kind = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    width, height = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16))
    elif mode == "PA":
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).quantize(8).convert("PA")
    else:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8))
        image = image.convert("RGB").convert(mode) if mode not in ("LA", "RGBA") else image.convert(mode)
    exif = Image.Exif()
    exif[0x112] = draw(st.integers(1, 8))
    stream = io.BytesIO()
    try:
        image.save(stream, kind, exif=exif, lossless=True)
    except (OSError, ValueError, KeyError):  # this format does not take this mode
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "PNG", exif=exif)
    data = bytearray(stream.getvalue())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 8]))):  # damaged files are refused, or read as something
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data)] * 4 + [len(data) // 2]))]), kind.lower()


def plainly(path: Path, side: int) -> np.ndarray:
    """The central square in gray, by other means: Pillow for the decoding alone, numpy in float64 for the rest."""
    with Image.open(io.BytesIO(path.read_bytes())) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)[:, :, None] / 65535
    else:
        rgba = np.asarray(image.convert("RGBA")).astype(np.float64) / 255
        values = rgba[:, :, :3] * rgba[:, :, 3:] + 1 - rgba[:, :, 3:]
    edge = min(values.shape[:2])
    top, left = (values.shape[0] - edge) // 2, (values.shape[1] - edge) // 2
    return values[top : top + edge, left : left + edge].mean(axis=2)


@settings(max_examples=4000 if THOROUGH else 150, deadline=None, suppress_health_check=list(HealthCheck))
@given(saved=saved_pictures())
def test_any_picture_is_read_right_or_refused(
    tmp_path_factory: pytest.TempPathFactory, saved: tuple[bytes, str]
) -> None:
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / f"x.{saved[1]}"
    path.write_bytes(saved[0])
    for fit in (Fit(), Fit("squeeze", 7, True), KEEP, Fit.parse("keep:gray"), Fit.parse("keep:colour")):
        try:
            seen = read_picture(path, fit)
        except InputError as error:
            assert "\n" not in str(error) and path.name in str(error)
            return
        header = read_header(path, fit)
        assert header.shape == seen.shape and header.deep == (seen.dtype == np.float32)
    plain = plainly(path, 40)
    edge = len(plain)
    square = read_picture(path, Fit("crop", edge))
    assert np.abs(square[0] - plain).max() < 0.01

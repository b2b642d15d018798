"""What people upload becomes an upright 8-bit picture or one clear line; pictures and films keep what they show."""

from __future__ import annotations

import io
import struct
import zlib
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo import images
from gan_zoo.images import ImageError, read_frames, read_image
from gan_zoo.plugin import Film

RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


def colours(width: int = 40, height: int = 30) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / (width - 1), y * 255 / (height - 1), 128 + 0 * x], 2)
    return Image.fromarray(pixels.astype(np.uint8))


def differ(a: Image.Image, b: Image.Image) -> float:
    assert a.size == b.size
    return float(np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).max())


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    upright = colours()
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    assert differ(read_image(tmp_path / "photo.png"), upright) == 0


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    colours().save(tmp_path / "photo.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert read_image(tmp_path / "photo.jpg").size == (40, 30)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(path)
    image = read_image(path)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image)[..., 0], RAMP)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_is_scaled_by_its_range(tmp_path: Path, white: float) -> None:
    Image.fromarray((RAMP / 255 * white).astype(np.float32)).save(tmp_path / "f.tif")
    assert np.array_equal(np.asarray(read_image(tmp_path / "f.tif"))[..., 1], RAMP)


@pytest.mark.parametrize("values", [[-1.0, 0.0], [0.0, float("nan")], [0.0, 1e9]])
def test_floating_point_out_of_any_range_is_refused(tmp_path: Path, values: list[float]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ImageError, match="expected 0 to 1"):
        read_image(tmp_path / "f.tif")


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = colours().convert(mode)
    image.save(tmp_path / "x.tif")
    assert differ(read_image(tmp_path / "x.tif"), image.convert("RGB")) <= 2
    assert read_image(tmp_path / "x.tif").mode == "RGB"


def test_transparency_is_kept(tmp_path: Path) -> None:
    rgba = colours().convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    rgba.save(tmp_path / "rgba.png")
    assert differ(read_image(tmp_path / "rgba.png"), rgba) == 0

    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "p.png", transparency=0)
    image = read_image(tmp_path / "p.png")
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0))[3] == 0  # pyright: ignore
    assert image.getpixel((1, 1)) == (0, 255, 0, 255)

    rgba.convert("LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").mode == "RGBA"


def animation(path: Path, count: int = 5) -> list[Image.Image]:
    frames = [Image.new("RGB", (12, 10), (50 * i, 0, 0)) for i in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return frames


FEW, SHORT = images.Limits(500, 10**6), images.Limits(10**6, 100)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{suffix}"
    frames = animation(path)
    assert differ(read_image(path), frames[0]) <= 2
    read = read_frames(path)
    assert len(read) == 5
    assert max(differ(a.convert("RGB"), b) for a, b in zip(read, frames)) <= 4
    with pytest.raises(ImageError, match="at most 4 pictures"):
        read_frames(path, max_frames=4)
    monkeypatch.setattr(images, "_limits", ContextVar("limits", default=FEW))
    with pytest.raises(ImageError, match="at most 500 pixels in all"):
        read_frames(path)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def gif_bomb() -> bytes:
    data = io.BytesIO()
    Image.new("P", (8, 8)).save(data, "GIF")
    bomb = bytearray(data.getvalue())
    bomb[6:10] = struct.pack("<HH", 65535, 65535)
    return bytes(bomb)


def truncated() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(data, "JPEG")
    return data.getvalue()[:900]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bomb.png", png_header(60_000, 60_000), "pixels, expected at most|too many pixels, expected at most"),
        ("wide.png", png_header(8000, 8000), "8000 x 8000 pixels, expected at most 25,000,000 in all"),
        ("bomb.gif", gif_bomb(), "pixels, expected at most"),
        ("cut.jpg", truncated(), "cut.jpg: the picture is damaged .*expected a picture"),
        ("cut.png", png_header(64, 64)[:60], "cut.png: the picture is damaged"),
        ("notes.png", b"not a picture at all", "notes.png: not a picture; expected a picture"),
        ("empty.png", b"", "empty.png: not a picture"),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    for read in (read_image, read_frames):
        with pytest.raises(ImageError, match=message) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)  # a stranger need not know where uploads are kept


def test_missing_large_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colours().save(tmp_path / "a.png")
    monkeypatch.setattr(images, "_limits", ContextVar("limits", default=SHORT))
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "b.png")
    with pytest.raises(ImageError, match="expected at most 100"):
        read_image(tmp_path / "a.png")
    monkeypatch.undo()
    with pytest.raises(ImageError, match="expected a picture"):
        read_image(tmp_path)


# -- tensors and grids ------------------------------------------------------------------------------------------------


def test_tensors_there_and_back() -> None:
    image = colours()
    x = images.to_tensor(image)
    assert x.shape == (1, 3, 30, 40)
    assert x.min() == -1
    assert x.max() == 1
    assert differ(images.to_images(x)[0], image) == 0


def test_pixels_are_rounded_and_clamped() -> None:
    x = torch.tensor([-9.0, -1.0, 0.999 / 127.5 - 1, 0.4 / 127.5 - 1, 1.0, 9.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert images.to_uint8(x)[0, 0, 0].tolist() == [0, 0, 1, 0, 255, 255]
    with pytest.raises(ValueError, match="expected pictures"):
        images.to_images(torch.zeros(3, 4, 4))


def test_transparent_is_paper() -> None:
    assert (images.to_tensor(Image.new("RGBA", (2, 2), (0, 0, 0, 0))) == 1).all()


def test_grid() -> None:
    reds = [Image.new("RGB", (4, 3), (200 + i, 0, 0)) for i in range(5)]
    sheet = images.grid(reds, gap=2)
    assert sheet.size == (3 * 4 + 2 * 2, 2 * 3 + 2)
    assert sheet.getpixel((6, 5)) == (204, 0, 0)
    assert sheet.getpixel((4, 0)) == (255, 255, 255)
    assert images.grid(reds, columns=5, gap=0).size == (20, 3)
    with pytest.raises(ValueError, match="at least one"):
        images.grid([])


# -- films ------------------------------------------------------------------------------------------------------------


def wave(width: int = 33, height: int = 21, count: int = 12) -> Film:
    x = np.arange(width)[None, :, None] + np.zeros((height, 1, 3))
    frames = [127 + 100 * np.sin(x / 9 + i / 2 + np.array([0, 1, 2])) for i in range(count)]
    return Film([Image.fromarray(frame.astype(np.uint8)) for frame in frames], fps=24)


def test_gif_has_one_palette_and_the_film_s_length(tmp_path: Path) -> None:
    film = wave()
    with Image.open(images.save_film(film, tmp_path / "f.gif")) as gif:
        assert gif.n_frames == 12  # pyright: ignore[reportAttributeAccessIssue]
        assert gif.info["loop"] == 0
        total = 0
        for i, frame in enumerate(film.frames):
            gif.seek(i)
            total += gif.info["duration"]
            assert np.abs(np.asarray(gif.convert("RGB"), float) - np.asarray(frame, float)).mean() < 6
        assert total == 500


def test_a_still_film_does_not_flicker(tmp_path: Path) -> None:
    still = wave(count=1).frames[0]
    images.save_film(Film([still, Image.new("RGB", still.size, "blue"), still], 10), tmp_path / "f.gif")
    first, _, last = read_frames(tmp_path / "f.gif")
    assert differ(first, last) == 0


def test_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    import av

    film = wave()
    with av.open(str(images.save_film(film, tmp_path / "f.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, float(stream.average_rate or 0)) == ("h264", "yuv420p", 24)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 12
    assert frames[0].shape == (21 * 12, 33 * 12, 3)
    small = np.asarray(Image.fromarray(frames[5]).resize((33, 21), Image.Resampling.BOX), float)
    assert np.abs(small - np.asarray(film.frames[5], float)).mean() < 4
    head = (tmp_path / "f.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # begins to play before all of it has come


def test_odd_and_single(tmp_path: Path) -> None:
    big = Film([Image.new("RGB", (301, 257), "red")], fps=12.5)
    assert images.save_film(big, tmp_path / "odd.mp4").stat().st_size > 0
    assert images.save_film(big, tmp_path / "odd.gif").stat().st_size > 0


def test_films_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.gif or \.mp4"):
        images.save_film(wave(), tmp_path / "f.avi")
    with pytest.raises(ValueError, match="needs pictures"):
        images.save_film(Film([], 24), tmp_path / "f.gif")


def swapped_profile() -> bytes:
    """An ICC profile, version 2, of sRGB's primaries and gamma 2.2, red and blue exchanged."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    red, green, blue = (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"swap" + bytes(91),
        b"cprt": b"text" + bytes(4) + b"CC0" + bytes(1),
    }
    tags |= {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)}
    tags |= {
        name: b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in ((b"rXYZ", blue), (b"gXYZ", green), (b"bXYZ", red))
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def test_colours_of_another_profile_are_shown_as_screens_show_them(tmp_path):
    Image.new("RGB", (8, 8), (40, 60, 200)).save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    assert np.abs(np.asarray(read_image(tmp_path / "swapped.png")).astype(int) - (200, 60, 40)).max() <= 6
    Image.new("RGB", (8, 8), (40, 60, 200)).save(tmp_path / "damaged.png", icc_profile=b"no profile")
    assert np.asarray(read_image(tmp_path / "damaged.png"))[0, 0].tolist() == [40, 60, 200]


# -- what phones, cameras and owners have -----------------------------------------------------------------------------


def test_a_phones_heic_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (64, 32), "red").save(tmp_path / "IMG_1.HEIC", quality=90)
    assert read_image(tmp_path / "IMG_1.HEIC").size == (64, 32)
    assert differ(read_image(tmp_path / "IMG_1.HEIC"), Image.new("RGB", (64, 32), "red")) < 6


def test_owners_have_larger_pictures_than_strangers(tmp_path: Path) -> None:
    """An A4 page at 600 dpi: 34.8 megapixels."""
    Image.new("L", (4960, 7016), 255).save(tmp_path / "page.png")
    with pytest.raises(ImageError, match="expected at most 25,000,000 in all"):
        read_image(tmp_path / "page.png")
    with images.owners_limits():
        assert images.at_most(read_image(tmp_path / "page.png"), 4096).size == (2896, 4096)
    with pytest.raises(ImageError, match="expected at most 25,000,000 in all"):
        read_image(tmp_path / "page.png")


def test_one_picture_of_a_phones_two(tmp_path: Path) -> None:
    shown, hidden = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    shown.save(tmp_path / "p.jpg", "MPO", save_all=True, append_images=[hidden])
    (frame,) = read_frames(tmp_path / "p.jpg")
    assert differ(frame, shown) < 4


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_film_keeps_its_timing(tmp_path: Path, suffix: str) -> None:
    """A pause of two seconds stays one; a GIF that says nothing has 10 pictures a second, as browsers have it."""
    import av

    frames = [Image.new("RGB", (32, 32), (40 * i, 0, 0)) for i in range(4)]
    durations = [40, 2000, 80, 40]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=durations)
    read = read_frames(tmp_path / "a.gif")
    film = images.timed(read, read)
    assert film.seconds == (0.04, 2.0, 0.08, 0.04)
    with av.open(str(images.save_film(film, tmp_path / f"f.{suffix}"))) as container:
        moments = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert moments == pytest.approx([0, 0.04, 2.04, 2.12], abs=0.011)


def test_twelve_bits_in_sixteen_are_not_black(tmp_path: Path) -> None:
    """As cameras and microscopes store them; a picture of 16 bits keeps its own white."""
    ramp = np.linspace(0, 4095, 64).astype(np.uint16)[None].repeat(8, 0)
    for name, values in (("twelve", ramp), ("sixteen", ramp * 16)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        read = np.asarray(read_image(tmp_path / f"{name}.png"))
        assert (read[0, 0, 0], read[0, -1, 0]) == (0, 255)

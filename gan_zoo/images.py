"""Pictures in and out: what people upload, tensors, grids, films.

Networks speak float tensors (N, 3, H, W) in [-1, 1]; people speak files. What comes from outside is read here and
nowhere else, so that orientation, transparency, 16 bits and hostile files are dealt with once.
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from torch import Tensor

from gan_zoo.errors import one_line
from gan_zoo.parsing import parse_json
from gan_zoo.tasks import Film

MAX_PIXELS = 25_000_000  # a phone's photograph (24 megapixels) passes; 100 MB once decoded as RGBA
MAX_BYTES = 20_000_000
MAX_FRAMES = 240

# Formats that browsers show, and what scanners write. Pillow knows more, but some of their readers are seldom used and
# one (EPS) runs another program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
EXPECTED = "expected a picture (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC)"


pillow_heif.register_heif_opener()  # AVIF is Pillow's own


class Limits(NamedTuple):
    """What a picture may have: pixels once decoded, bytes as a file."""

    pixels: int
    bytes: int


STRANGERS = Limits(MAX_PIXELS, MAX_BYTES)
OWNERS = Limits(250_000_000, 1_000_000_000)  # of a machine, on its command line and in Python
_limits: ContextVar[Limits] = ContextVar("limits", default=STRANGERS)


@contextmanager
def owners_limits() -> Iterator[None]:
    """Inside, pictures are read by the limits of a machine's owner, not by those of strangers."""
    before = _limits.set(OWNERS)
    try:
        yield
    finally:
        _limits.reset(before)


class ImageError(ValueError):
    """A file that cannot be used as a picture; the message is one line that says what was expected."""


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def read_image(path: str | Path) -> Image.Image:  # "RGB", or "RGBA" where the file has transparency
    """The picture of a file, upright, 8 bits a channel; the first one of an animation.

    Raises ImageError if the file is missing, larger than strangers (or inside `owners_limits`, owners) may send, is
    damaged, or is no picture. The size is checked before anything is decoded.
    """
    with _open(path) as image:
        image.load()
        return _eight_bit(_upright(image), Path(path).name)


def read_frames(path: str | Path, *, max_frames: int = MAX_FRAMES) -> list[Image.Image]:
    """All pictures of an animation (GIF, WebP, PNG), in order, with how long each is shown as `info["duration"]`, in
    milliseconds; one for a still picture, also a phone's, which may hold a second one that nobody sees. Their pixels
    are bounded in all.

    Raises ImageError as `read_image` does, and if there are more than `max_frames`.
    """
    name, most = Path(path).name, _limits.get().pixels
    with _open(path) as image:
        frames = []
        while True:
            if len(frames) == max_frames:
                raise ImageError(f"{name}: expected an animation of at most {max_frames} pictures")
            if (len(frames) + 1) * image.width * image.height > most:
                raise ImageError(f"{name}: expected an animation of at most {most:,} pixels in all")
            image.load()
            duration = image.info.get("duration", 0)
            frames.append(_eight_bit(_upright(image), name))
            frames[-1].info["duration"] = duration
            if image.format not in ANIMATED:
                return frames
            try:
                image.seek(image.tell() + 1)
            except EOFError:
                return frames


ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")  # not a phone's second exposure (MPO, HEIF), nor a TIFF's pages


def timed(pictures: list[Image.Image], like: Sequence[Image.Image]) -> Film:
    """A film of pictures, each shown as long as the one of `read_frames` that it was made of."""
    seconds = tuple((frame.info.get("duration") or 100) / 1000 for frame in like)  # 0 is 100 ms, as browsers show it
    return Film(pictures, len(seconds) / sum(seconds), seconds)


def at_most(picture: Image.Image, side: int) -> Image.Image:
    """The picture, or a smaller copy of one whose longer side exceeds `side`."""
    if max(picture.size) <= side:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return smaller


@contextmanager
def _open(path: str | Path) -> Iterator[Image.Image]:
    """The opened, not yet decoded file; whatever goes wrong while it is used leaves as an ImageError."""
    name, (max_pixels, max_bytes) = Path(path).name, _limits.get()
    try:
        size = os.stat(path).st_size
        if size > max_bytes:
            raise ImageError(f"{name}: the file has {size:,} bytes, expected at most {max_bytes:,}")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(f"{name}: {width} x {height} pixels, expected at most {max_pixels:,} in all")
            yield image
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file; {EXPECTED}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: too many pixels, expected at most {max_pixels:,} in all") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture; {EXPECTED}") from None
    except Exception as error:  # decoders given damaged files raise almost anything
        raise ImageError(f"{name}: the picture is damaged ({one_line(error, longest=100)}); {EXPECTED}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL picture as 8-bit RGB: upright, 16 bit scaled to 8, what is transparent on white."""
    return on_white(_eight_bit(_upright(image), "picture"))


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says. Always a copy: animations reuse the one that they give."""
    try:
        return ImageOps.exif_transpose(image) or image.copy()
    except Exception:  # damaged EXIF is no reason to refuse a good picture
        return image.copy()


def _srgb(image: Image.Image) -> Image.Image:
    """The picture's colours as screens show them, where it brings a profile of others (Display P3, Adobe RGB, CMYK)."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        made = ImageCms.profileToProfile(image, found, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged profile is no reason to refuse a picture
        return image
    assert made is not None
    made.info.pop("icc_profile", None)
    return made


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    image = _srgb(image)
    if image.mode.startswith("I;16"):  # convert() would clip at 255 instead of scaling
        values = np.asarray(image).astype(np.float64)
        white = next(white for white in (255, 4095, 65535) if values.max() <= white)  # cameras store 12 bits in 16
        return _from_gray(values / white)
    if image.mode in ("I", "F"):
        return _from_gray(_unit_range(np.asarray(image).astype(np.float64), name))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _unit_range(values: np.ndarray, name: str) -> np.ndarray:
    """Pixels of 32 bits, which have no agreed range, as [0, 1]: by the smallest usual range that holds them."""
    low, high = float(values.min()), float(values.max())
    for white in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= white:
            return values / white
    raise ImageError(f"{name}: pixels from {low:g} to {high:g}, expected 0 to 1, 0 to 255 or 0 to 65535")


def _from_gray(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")


# ---------------------------------------------------------------------------------------------------------------------
# Pictures and tensors


def on_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, as paper."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def to_tensor(image: Image.Image) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.array(on_white(image)))  # (H, W, 3)
    return (pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous()


def to_uint8(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, 3, H, W) uint8, rounded to the nearest level."""
    return ((pictures.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_images(pictures: Tensor) -> list[Image.Image]:
    """(N, 3, H, W) in [-1, 1] -> N RGB pictures."""
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"expected pictures (N, 3, H, W), got {tuple(pictures.shape)}")
    return [Image.fromarray(pixels) for pixels in to_uint8(pictures).permute(0, 2, 3, 1).cpu().numpy()]


def data_address(data: bytes, kind: str) -> str:
    """A file as an address that holds it, for a page's own HTML; kind: such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def save_png(image: Image.Image, path: str | Path) -> None:
    """Writes a picture as PNG, with the texts of its `info`: how it was made, if a task made it."""
    texts = PngImagePlugin.PngInfo()
    for name, text in image.info.items():
        if isinstance(name, str) and isinstance(text, str):
            texts.add_text(name, text)
    image.save(path, format="PNG", pnginfo=texts)


def read_settings(path: str | Path) -> dict[str, Any]:
    """How the picture of a PNG file was made: {"plugin", "task", "preset", "arguments"}; {} if it does not say.

    Anyone may have written it: check what is used. Raises ImageError as `read_image` does.
    """
    try:
        made = parse_json(read_image(path).info.get("gan_zoo", "{}"))
    except ImageError:
        raise
    except ValueError:
        return {}
    kinds = {"plugin": str, "task": str, "preset": str, "arguments": dict}
    sound = isinstance(made, dict) and all(isinstance(made.get(name), kind) for name, kind in kinds.items())
    return {name: made[name] for name in kinds} if sound else {}


def grid(images: Sequence[Image.Image], columns: int | None = None, gap: int = 2) -> Image.Image:
    """One white sheet with all pictures, row by row, each centred in a cell of the largest size."""
    if not images:
        raise ValueError("a grid needs at least one picture")
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    rows = math.ceil(len(images) / columns)
    width, height = max(image.width for image in images), max(image.height for image in images)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for i, image in enumerate(images):
        x, y = i % columns * (width + gap), i // columns * (height + gap)
        sheet.paste(on_white(image), (x + (width - image.width) // 2, y + (height - image.height) // 2))
    return sheet


def before_and_after(before: str | None, after: np.ndarray | None) -> tuple[Image.Image, Image.Image] | None:
    """The picture of a file at the size of what was made of it, and that, (H, W, 3) uint8; None if one is missing."""
    if before is None or after is None:
        return None
    made = Image.fromarray(after)
    return on_white(read_image(before)).resize(made.size), made


# ---------------------------------------------------------------------------------------------------------------------
# Films


def save_film(film: Film, path: str | Path) -> Path:
    """Writes a film as .gif or .mp4 (H.264), by the suffix. Raises ValueError for another suffix or an empty film."""
    path = Path(path)
    save = {".gif": _save_gif, ".mp4": _save_mp4}.get(path.suffix.lower())
    if save is None:
        raise ValueError(f"{path.name}: a film is saved as .gif or .mp4")
    if not film.frames or film.fps <= 0:
        raise ValueError(f"a film needs pictures and a speed, got {len(film.frames)} at {film.fps} a second")
    save(film, path)
    return path


def _moments(film: Film) -> list[float]:
    """When each picture comes, in seconds, and when the last one goes."""
    if film.seconds:
        return [0.0, *accumulate(film.seconds)]
    return [i / film.fps for i in range(len(film.frames) + 1)]


def _save_gif(film: Film, path: Path) -> None:
    """One palette for all pictures and no dithering: neither colours nor dots dance from picture to picture."""
    frames = [on_white(frame) for frame in film.frames]
    some = frames[:: math.ceil(len(frames) / 32)]
    palette = grid(some, gap=0).quantize(256, method=Image.Quantize.FASTOCTREE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    # GIF counts in hundredths of a second: rounding the moments, not the durations, keeps the film's length.
    moments = [round(100 * moment) for moment in _moments(film)]
    durations = [10 * max(1, after - before) for before, after in pairwise(moments)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _save_mp4(film: Film, path: Path) -> None:
    """Browsers play H.264 in 4:2:0, which needs even sides and halves the resolution of colour.

    So pictures under 256 pixels are enlarged by a whole factor, and an odd side repeats its last row or column.
    """
    import av  # only where a film is made

    frames = [np.asarray(_enlarged(on_white(frame))) for frame in film.frames]
    height, width = frames[0].shape[:2]
    rate = Fraction(film.fps).limit_denominator(1000)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        if film.seconds:
            stream.codec_context.time_base = Fraction(1, 1000)
        for pixels, moment in zip(frames, _moments(film)):
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            shown = av.VideoFrame.from_ndarray(even, format="rgb24")
            if film.seconds:
                shown.pts, shown.time_base = round(1000 * moment), Fraction(1, 1000)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))


def _enlarged(image: Image.Image) -> Image.Image:
    factor = max(1, 256 // min(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)

"""What is changed in Gradio while the page runs."""

import io
import threading
from pathlib import Path

import numpy as np
from gradio import image_utils, processing_utils
from PIL import Image

from gan_zoo.ui import patches


def test_a_picture_being_saved_again_can_be_read_at_any_moment(tmp_path: Path, monkeypatch) -> None:
    """Two visitors who make the same picture share its file."""
    for name in ("save_pil_to_cache", "save_bytes_to_cache"):
        monkeypatch.setattr(processing_utils, name, getattr(processing_utils, name))
    patches.write_whole_files()
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    picture, over = Image.fromarray(noise), threading.Event()
    path = Path(image_utils.save_image(picture, str(tmp_path), format="png"))
    sizes, whole = set(), path.stat().st_size

    def read() -> None:
        while not over.is_set():
            sizes.add(len(path.read_bytes()))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(60):
            assert Path(image_utils.save_image(picture, str(tmp_path), format="png")) == path
    finally:
        over.set()
        reader.join()
    assert sizes == {whole}
    assert [each.name for each in tmp_path.rglob("*") if each.is_file() and each != path] in ([], ["hash_seed.txt"])
    with Image.open(path) as read_back:
        assert np.array_equal(np.asarray(read_back), noise)


def test_pictures_are_packed_fast_and_lose_nothing(monkeypatch) -> None:
    monkeypatch.setattr(processing_utils, "encode_pil_to_bytes", processing_utils.encode_pil_to_bytes)
    patches.write_fast()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    picture.info["gan_zoo"] = "who made it"
    for format in ("png", "webp"):
        packed = processing_utils.encode_pil_to_bytes(picture, format)
        with Image.open(io.BytesIO(packed)) as read_back:
            assert read_back.format == format.upper() and read_back.size == picture.size
            if format == "png":
                assert np.array_equal(np.asarray(read_back), np.asarray(picture))
                assert read_back.info["gan_zoo"] == "who made it"

"""What people send in: pictures of three formats and forms, whole, hostile or broken."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import simplejpeg

from api import multipart, pictures
from proto.errors import BadInput

LIMIT = 500_000


def quarters(width: int = 320, height: int = 200) -> np.ndarray:
    """BGR: red top left, green top right, blue bottom left, white bottom right."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2] = (0, 0, 255)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (255, 0, 0)
    image[height // 2 :, width // 2 :] = (255, 255, 255)
    return image


def encoded(image: np.ndarray, suffix: str, *flags: int) -> bytes:
    done, data = cv2.imencode(suffix, image, list(flags))
    assert done
    return bytes(data)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that says how it is to be turned."""
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def corner(jpeg: bytes, x: float, y: float) -> list[int]:
    rgb = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    return [round(int(value) / 255) for value in rgb[int(y * rgb.shape[0]), int(x * rgb.shape[1])]]


@pytest.mark.parametrize(
    "data",
    [
        encoded(quarters(), ".jpg"),
        encoded(quarters(), ".png"),
        encoded(quarters(), ".webp", cv2.IMWRITE_WEBP_QUALITY, 90),
        encoded(quarters(), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        encoded(cv2.cvtColor(quarters(), cv2.COLOR_BGR2BGRA), ".png"),
        encoded(quarters().astype(np.uint16) * 257, ".png"),
    ],
    ids=["jpeg", "png", "webp", "webp lossless", "png with alpha", "png of 16 bits"],
)
def test_every_format_becomes_a_jpeg_that_looks_the_same(data: bytes) -> None:
    assert pictures.size_of(data, "photo") == (320, 200)
    jpeg = pictures.normalised(data, LIMIT, "photo")
    assert simplejpeg.decode_jpeg_header(jpeg)[:2] == (200, 320)
    assert [corner(jpeg, 0.2, 0.2), corner(jpeg, 0.8, 0.2)] == [[1, 0, 0], [0, 1, 0]]
    assert [corner(jpeg, 0.2, 0.8), corner(jpeg, 0.8, 0.8)] == [[0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("orientation", "red_at"), [(1, (0.2, 0.2)), (3, (0.8, 0.8)), (6, (0.8, 0.2)), (8, (0.2, 0.8))]
)
def test_it_is_turned_as_its_camera_was_held(orientation: int, red_at: tuple[float, float]) -> None:
    jpeg = pictures.normalised(with_orientation(encoded(quarters(), ".jpg"), orientation), LIMIT, "photo")
    assert corner(jpeg, *red_at) == [1, 0, 0]
    assert (simplejpeg.decode_jpeg_header(jpeg)[:2] == (320, 200)) == (orientation in (6, 8))


def test_metadata_does_not_travel_on() -> None:
    secret = b"taken at home"
    jpeg = encoded(quarters(), ".jpg")
    jpeg = jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(secret) + 2) + secret + jpeg[2:]
    assert secret not in pictures.normalised(jpeg, LIMIT, "photo")


def test_large_ones_are_shrunk_and_fit_the_bus() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2600, 3900, 3), dtype=np.uint8)
    data = encoded(noise, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 80)
    jpeg = pictures.normalised(data, LIMIT, "photo")
    assert len(jpeg) <= LIMIT
    height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    assert max(width, height) <= pictures.SENT_SIDE_PX
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert len(pictures.normalised(data, 20_000, "photo")) <= 20_000


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_size_is_refused_before_memory_is_taken_for_it() -> None:
    tracemalloc.start()
    try:
        for data in (png_that_claims(30_000, 30_000), png_that_claims(1_000_000, 40)):
            with pytest.raises(BadInput, match=r"photo: is .*megapixels"):
                pictures.normalised(data, LIMIT, "photo")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(BadInput, match="too small"):
        pictures.normalised(encoded(quarters(20, 20), ".png"), LIMIT, "photo")


@pytest.mark.parametrize("keep", [0, 3, 11, 20, 40, 300])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_what_is_cut_off_is_told_or_read_never_a_crash(suffix: str, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    with pytest.raises(BadInput, match="photo: "):
        pictures.normalised(encoded(noise, suffix)[:keep], LIMIT, "photo")


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(100), b"<svg xmlns='x'/>", b"RIFF\0\0\0\0AVI " + bytes(50)])
def test_other_formats_are_named(data: bytes) -> None:
    with pytest.raises(BadInput, match="neither JPEG nor PNG nor WebP"):
        pictures.normalised(data, LIMIT, "photo")


def form(**fields: bytes | str) -> tuple[str, bytes]:
    files = {name: (f'{name} "x".jpg', io.BytesIO(data)) for name, data in fields.items() if isinstance(data, bytes)}
    texts = {name: data for name, data in fields.items() if isinstance(data, str)}
    request = httpx.Request("POST", "http://x", files=files, data=texts)
    return request.headers["content-type"], request.read()


def test_a_form_as_clients_send_it() -> None:
    data = bytes(range(256)) + b"\r\n\r\n--\r\n--boundary--\r\n"
    kind, body = form(document=data, live=b"", document_type="passport")
    assert multipart.parse(kind, body) == {"document": data, "live": b"", "document_type": b"passport"}
    kind, body = (
        'multipart/form-data; boundary="a b"',
        b"preamble\r\n--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--",
    )
    assert multipart.parse(kind, body) == {"x": b"1"}


FORM = "multipart/form-data; boundary=b"
X = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("multipart/form-data", b"", "names no boundary"),
        ("multipart/form-data; boundary=" + "x" * 71, b"", "names no boundary"),
        (FORM, b"", "cut off"),
        (FORM, X, "cut off"),
        (FORM, b"--b\r\n\r\n1\r\n--b--", "without"),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "without a name"),
        (FORM, b"--b\r\nX: " + b"y" * 5000 + b"\r\n\r\n1\r\n--b--", "proper head"),
        (FORM, (X + b"\r\n") * 2 + b"--b--", "x: is given twice"),
        (FORM, (X + b"\r\n") * 99 + b"--b--", "more than"),
    ],
)
def test_a_broken_form_is_told(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        multipart.parse(kind, body)


def test_the_photos_of_real_cameras(media: Path) -> None:
    for path in sorted((media / "photos").glob("*.jpg")):
        jpeg = pictures.normalised(path.read_bytes(), LIMIT, "photo")
        assert len(jpeg) <= LIMIT

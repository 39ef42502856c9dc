"""Sizes from heads, tokens from sizes."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting import files, geometry


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 320, 200) + b"\0\0"
SOF = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 300, 400)
JPEG = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + SOF + bytes(20)
FAT_JPEG = b"\xff\xd8" + (b"\xff\xe2" + struct.pack(">H", 65_000) + bytes(64_998)) * 3 + SOF + bytes(20)
VP8X = b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")
VP8 = b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 120, 80)
VP8L = b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 59 | 29 << 14)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PNG, (640, 480)),
        (GIF, (320, 200)),
        (JPEG, (400, 300)),
        (FAT_JPEG, (400, 300)),
        (VP8X, (100, 50)),
        (VP8, (120, 80)),
        (VP8L, (60, 30)),
        (PNG[:20], None),
        (b"", None),
        (b"no image", None),
        (b"\xff\xd8\xff\xff\xff", None),
    ],
    ids=["png", "gif", "jpeg", "jpeg behind a profile", "vp8x", "vp8", "vp8l", "cut", "empty", "text", "broken jpeg"],
)
def test_image_size(data: bytes, size: tuple[int, int] | None) -> None:
    assert files.image_size(b64(data)) == size
    assert files.image_size(f"data:image/png;base64,{b64(data)}") == size


def test_base64_that_breaks_off_is_read_so_far() -> None:
    assert files.image_size(b64(PNG)[:40] + "\u2026 and so on") == (640, 480)
    assert files.decoded("\u2026", 10) == b""


@pytest.mark.parametrize(
    ("content", "pages"),
    [
        (b"%PDF-1.4 <</Type /Pages /Count 2>> <</Type/Page>> <</Type /Page >>", 2),
        (b"%PDF-1.7 /Count 12 compressed", 12),
        (b"%PDF-1.7 compressed", None),
        (b"a letter", None),
    ],
)
def test_pdf_pages(content: bytes, pages: int | None) -> None:
    assert files.pdf_pages(b64(content)) == pages


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", PNG[:8], b"\xff\xd8", b"GIF8", b"RIFF", b"%PDF"]),
)
def test_no_file_stops_the_reader(data: bytes, magic: bytes) -> None:
    text = b64(magic + data)
    files.image_size(text)
    files.pdf_pages(text)


@given(st.text(max_size=300))
def test_no_text_stops_the_reader(text: str) -> None:
    files.image_size(text)
    files.pdf_pages(text)


# Examples of the providers' documentation, and recorded bills.
EXAMPLES = [
    (geometry.tiles, (1024, 1024, 85, 170), 765),
    (geometry.tiles, (2048, 4096, 85, 170), 1105),
    (geometry.tiles, (512, 512, 85, 170), 255),
    (geometry.tiles, (640, 480, 2833, 5667), 14_167),
    (geometry.patches, (1024, 1024, 1536, None, 1.0), 1024),
    (geometry.patches, (1800, 2400, 1536, None, 1.0), 1452),
    (geometry.patches, (2048, 2048, 2500, 2048, 1.2), 3000),
    (geometry.squares, (200, 200, 1568, 1568), 64),
    (geometry.squares, (1000, 1000, 1568, 1568), 1296),
    (geometry.squares, (1092, 1092, 1568, 1568), 1521),
    (geometry.squares, (1920, 1080, 1568, 1568), 1560),
    (geometry.squares, (1920, 1080, 2576, 4784), 2691),
    (geometry.squares, (3840, 2160, 2576, 4784), 4784),
    (geometry.area, (597, 566, 1120), 1088),
    (geometry.area, (400, 301, 1120), 1102),
    (geometry.crops, (300, 384, 258), 258),
    (geometry.crops, (640, 480, 258), 1290),
    (geometry.crops, (540, 360, 258), 1806),
    (geometry.crops, (3008, 2000, 258), 3354),
]


@pytest.mark.parametrize(
    ("rule", "arguments", "tokens"), EXAMPLES, ids=[f"{r.__name__} {a[:2]}" for r, a, _ in EXAMPLES]
)
def test_geometry(rule, arguments, tokens) -> None:
    assert rule(*arguments) == tokens


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_every_size_has_a_bounded_cost(width: int, height: int) -> None:
    assert 0 < geometry.tiles(width, height, 85, 170) <= 85 + 170 * 12
    assert 0 < geometry.patches(width, height, 1536, None, 1.0) <= 1536
    assert 0 < geometry.squares(width, height, 1568, 1568) <= 1568
    assert 0 <= geometry.area(width, height, 1120) <= 1120

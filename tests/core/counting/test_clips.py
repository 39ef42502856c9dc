"""Lengths of sounds and films, from files written here."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting import clips


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wav(stated: int, samples: int) -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    return b"RIFF\0\0\0\0WAVEfmt " + form + b"data" + struct.pack("<I", stated) + bytes(samples)


def mp4(*tracks: bytes) -> bytes:
    header = b"\0\0\0\x6cmvhd" + bytes(12) + struct.pack(">II", 1000, 5_500)
    return b"\0\0\0\x18ftypisom" + bytes(80) + b"moov" + header + b"".join(b"hdlr" + bytes(8) + t for t in tracks)


FRAME = b"\xff\xfb\x90\x00" + bytes(413)
"""MPEG 1 layer III, 128 kbit/s, 44,100 samples a second."""
SLOW = b"\xff\xfb\x50\x00" + bytes(204)
"""... at 64 kbit/s."""
XING = b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + struct.pack(">II", 1, 500) + bytes(400)
ID3 = b"ID3\x04\0\0\0\0\0\x23" + bytes(35)
OPUS = b"OggS" + bytes(24) + b"OpusHead" + bytes(20) + b"OggS\0\4" + struct.pack("<q", 96_000) + bytes(14)
VORBIS = b"OggS" + bytes(24) + b"\x01vorbis" + bytes(5) + struct.pack("<I", 44_100) + bytes(30)
VORBIS += b"OggS\0\4" + struct.pack("<q", 88_200) + bytes(14)
FLAC = b"fLaC" + bytes(14) + (48_000 << 44 | 15 << 36 | 144_000).to_bytes(8, "big") + bytes(30)
WEBM = b"\x1aE\xdf\xa3" + bytes(20) + b"\x2a\xd7\xb1\x83\x0f\x42\x40" + b"\x44\x89\x88" + struct.pack(">d", 4200.0)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wav(16_000, 16_000), 1.0),
        (wav(0xFFFFFFFF, 32_000), 2.0),
        (FRAME * 100, 100 * 1152 / 44_100),
        (FRAME * 50 + SLOW * 50, 100 * 1152 / 44_100),
        (ID3 + FRAME * 40, 40 * 1152 / 44_100),
        (XING + FRAME * 3, 500 * 1152 / 44_100),
        (OPUS, 2.0),
        (VORBIS, 2.0),
        (FLAC, 3.0),
        (mp4(b"vide"), 5.5),
        (WEBM, 4.2),
        (b"OggS", None),
        (b"RIFF\0\0\0\0WEBP" + bytes(40), None),
        (WEBM[:-8] + struct.pack(">d", float("inf")), None),
        (b"a letter", None),
    ],
    ids=[
        *("wav", "streamed wav", "mp3", "mp3 of two rates", "tagged mp3", "mp3 with a count", "opus", "vorbis", "flac"),
        *("mp4", "webm", "cut ogg", "webp", "endless webm", "text"),
    ],
)
def test_seconds(data: bytes, seconds: float | None) -> None:
    assert clips.seconds(b64(data)) == (None if seconds is None else pytest.approx(seconds, rel=0.01))


@pytest.mark.parametrize(
    ("data", "sounds"),
    [(mp4(b"vide"), False), (mp4(b"vide", b"soun"), True), (WEBM, False), (WEBM + b"A_OPUS", True), (b"?", True)],
)
def test_films_with_sound(data: bytes, sounds: bool) -> None:
    assert clips.has_sound(b64(data)) is sounds


MAGIC = [wav(0, 0)[:40], FRAME[:4], ID3, b"OggS", b"fLaC", mp4()[:12], mp4(), WEBM[:40], b""]


@given(st.binary(max_size=200), st.sampled_from(MAGIC))
def test_no_file_stops_the_reader(data: bytes, magic: bytes) -> None:
    text = b64(magic + data)
    assert (clips.seconds(text) or 1.0) > 0
    clips.has_sound(text)


@given(st.text(max_size=300))
def test_no_text_stops_the_reader(text: str) -> None:
    clips.seconds(text)
    clips.has_sound(text)

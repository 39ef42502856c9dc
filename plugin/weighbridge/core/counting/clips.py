"""Lengths of sounds and films, read from their bytes.  Nothing is played: headers, indexes and frame sizes say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import unpack_from

from weighbridge.core.counting.files import FAR, decoded

MOST = 48 << 20
"""Base64 characters that are looked through; what is longer is taken to go on as it began."""
LONGEST = 7 * 24 * 3600
"""Seconds; a header that states more is broken."""
FRAMES = 4_096
"""MPEG frames that are measured; the rest of a file is taken to be like them."""
KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
"""Bit rates of MPEG 1 layer III, and of MPEG 2 and 2.5."""
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Samples a second by MPEG version (3: 1, 2: 2, 0: 2.5)."""
OPUS_RATE = 48_000


def seconds(data: str) -> float | None:
    """Length of a WAV, MP3, Ogg, FLAC, MP4 (QuickTime) or WebM file in base64; None for anything else."""
    head = decoded(data, 128)
    forms = ((read, most) for place, magic, read, most in _FORMS if head[place : place + len(magic)] == magic)
    read, most = next(forms, (_unknown, 0))
    try:
        length = read(decoded(data, most), len(data) * 3 / 4)
    except (StructError, IndexError):
        return None
    return length if length is not None and 0 < length < LONGEST else None


def has_sound(data: str) -> bool:
    """Whether a film has a sound track; True where it cannot be told."""
    content = decoded(data, MOST)
    if content[4:8] == b"ftyp":
        return b"soun" in content[max(0, content.find(b"moov")) :]
    if content.startswith(b"\x1aE\xdf\xa3"):
        return any(codec in content[:FAR] for codec in (b"A_OPUS", b"A_VORBIS", b"A_AAC"))
    return True


def _unknown(content: bytes, length: float) -> None:
    return None


def _wav(content: bytes, length: float) -> float | None:
    if content[8:12] != b"WAVE":
        return None
    form, data = content.find(b"fmt ", 12), content.find(b"data", 12)
    rate = unpack_from("<I", content, form + 16)[0] if form > 0 else 0
    stated = unpack_from("<I", content, data + 4)[0] if data > 0 else 0
    # A stream's writer does not know its length, and states the largest or none.
    played = stated if 0 < stated <= length else length - max(0, data + 8)
    return played / rate if rate else None


def _mp3(content: bytes, length: float) -> float | None:
    start = 10 + _synchsafe(content[6:10]) if content[:3] == b"ID3" else 0
    first = content[start : start + 200]
    for mark in (b"Xing", b"Info"):
        place = first.find(mark)
        if place > 0 and first[place + 7] & 1:
            samples, rate, _ = _frame(first)
            return unpack_from(">I", first, place + 8)[0] * samples / rate if rate else None
    measured, end = 0.0, start
    for samples, rate, size in _frames(content, start):
        measured += samples / rate
        end += size
    return measured * (length - start) / (end - start) if measured else None


def _frames(content: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    for _ in range(FRAMES):
        samples, rate, size = _frame(content[place : place + 4])
        if not size:
            return
        yield samples, rate, size
        place += size


def _frame(head: bytes) -> tuple[int, int, int]:
    """(samples, samples a second, bytes) of an MPEG layer III frame; zeros where it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0, 0, 0
    version, step = head[1] >> 3 & 3, head[2] >> 2 & 3
    kbits = KBITS[version == 3][head[2] >> 4]
    if version == 1 or step == 3 or not kbits:
        return 0, 0, 0
    samples, rate = (1152 if version == 3 else 576), RATES[version][step]
    return samples, rate, samples * kbits * 125 // rate + (head[2] >> 1 & 1)


def _synchsafe(four: bytes) -> int:
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def _ogg(content: bytes, length: float) -> float | None:
    """The last page says how many samples went by; Opus counts 48,000 a second, whatever was recorded."""
    last = content.rfind(b"OggS")
    samples = unpack_from("<q", content, last + 6)[0]
    vorbis = content.find(b"\x01vorbis", 0, 200)
    rate = unpack_from("<I", content, vorbis + 12)[0] if vorbis > 0 else OPUS_RATE
    return samples / rate if rate and samples > 0 else None


def _flac(content: bytes, length: float) -> float | None:
    packed = int.from_bytes(content[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples / rate if rate else None


def _mp4(content: bytes, length: float) -> float | None:
    box = content.find(b"mvhd")
    if box < 0:
        return None
    wide = content[box + 4] == 1
    scale, span = unpack_from(">IQ" if wide else ">II", content, box + (24 if wide else 16))
    return span / scale if scale else None


def _webm(content: bytes, length: float) -> float | None:
    scale, span = content.find(b"\x2a\xd7\xb1", 0, FAR), content.find(b"\x44\x89", 0, FAR)
    if span < 0:
        return None
    nanos = int.from_bytes(content[scale + 4 : scale + 4 + (content[scale + 3] & 0x0F)], "big") if scale > 0 else 10**6
    length_of_float = content[span + 2] & 0x0F
    ticks = unpack_from(">d" if length_of_float == 8 else ">f", content, span + 3)[0]
    return float(ticks) * nanos / 1e9


_FORMS: tuple[tuple[int, bytes, Callable[[bytes, float], float | None], int], ...] = (
    (0, b"RIFF", _wav, FAR),
    (4, b"ftyp", _mp4, MOST),
    (0, b"ID3", _mp3, 4 * FAR),
    *((0, bytes((0xFF, second)), _mp3, 4 * FAR) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    (0, b"OggS", _ogg, MOST),
    (0, b"fLaC", _flac, 128),
    (0, b"\x1aE\xdf\xa3", _webm, FAR),
)
"""(place, magic bytes, reader, base64 characters it is given)."""

"""OpenAI's vocabularies and Claude's older one, without a network: the files that litellm ships, read
without importing it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from threading import Lock

import tiktoken

from weighbridge.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Where a vocabulary lies in litellm's folder, what it must be, and how it splits a text."""

    file: str
    """The file's name; OpenAI's are the SHA-1 of the address they were published at."""
    sha256: str
    pattern: str


_O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_CL100K = "|".join(
    [
        r"'(?i:[sdmt]|ll|ve|re)",
        r"[^\r\n\p{L}\p{N}]?+\p{L}++",
        r"\p{N}{1,3}+",
        r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
        r"\s++$",
        r"\s*[\r\n]",
        r"\s+(?!\S)",
        r"\s",
    ]
)
# Claude 2's own pattern, but that digits stand alone and marks in threes: with that, its vocabulary
# counts what Claude 3 to 4.6 bill (recorded bills, November 2026: plain English to the token).
_CLAUDE = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]{1,3}|\s+(?!\S)|\s+"
_CLAUDE_LOST = (" caching", " jumps", " lazy")
"""Tokens that later generations bill as two, as far as recorded bills show: the first in three
prompts; in the sentence of the quick brown fox there are two such words, and which ones is a guess."""
_P50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

# File names, digests and patterns as in tiktoken 0.14 (`tiktoken_ext/openai_public.py`), November 2026.
BUNDLED = {
    "o200k_base": Vocabulary(
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        _O200K,
    ),
    "cl100k_base": Vocabulary(
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        _CL100K,
    ),
    "p50k_base": Vocabulary(
        "ec7223a39ce59f226a68acc30dc1af2788490e15",
        "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        _P50K,
    ),
    "claude-2": Vocabulary(
        "anthropic_tokenizer.json",
        "c241737df24b4e7f7c9af4fdcee29a0ca903dcb288a8b753bc346a3092911767",
        _CLAUDE,
    ),
}
ALIASES = {"o200k_harmony": "o200k_base"}
"""Vocabularies that differ in special tokens only; these are counted as plain text here."""


class TiktokenTokenizer:
    """One of OpenAI's encodings, loaded at the first count.  Threads may share it.

    Special tokens in a text are counted as the plain text they are.  Lone surrogates count as
    replacement characters.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = Lock()
        self._encoding: tiktoken.Encoding | None = None

    def count(self, text: str) -> int:
        """Tokens of a text.  Raises ConfigError where the vocabulary is not to be had.

        Texts are handed over in slices of some ten thousand characters: tiktoken panics on about a
        million blanks.
        """
        encoding = self._encoding or self._load()
        return len(encoding.encode_ordinary(text))

    def _load(self) -> tiktoken.Encoding:
        with self._lock:
            if self._encoding is None:
                self._encoding = load_encoding(self.name)
            return self._encoding


def load_encoding(name: str) -> tiktoken.Encoding:
    """The encoding from litellm's file, else from tiktoken's own cache or download."""
    bundled = BUNDLED.get(ALIASES.get(name, name))
    path = _bundled_file(bundled.file) if bundled else None
    if bundled is None or path is None:
        return _foreign(name)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != bundled.sha256:
        raise ConfigError(
            f"the vocabulary {name} in the installed litellm is damaged ({path}): pip install --force-reinstall litellm"
        )
    ranks = _json_ranks(data) if path.suffix == ".json" else _tiktoken_ranks(data)
    encoding = tiktoken.Encoding(name, pat_str=bundled.pattern, mergeable_ranks=ranks, special_tokens={})
    # The tokenizer proper keeps its own copy in Rust; this one only serves decoding, and weighs 27 MB.
    encoding._mergeable_ranks = {}
    return encoding


def _tiktoken_ranks(data: bytes) -> dict[bytes, int]:
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, BytesIO(data))}


def _json_ranks(data: bytes) -> dict[bytes, int]:
    """The vocabulary of a byte-level BPE in Hugging Face's format, where each byte is written as a
    printable character.  Its numbers follow its merges, as tiktoken wants them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    letters = {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}
    content = json.loads(data)
    special = {token["content"] for token in content["added_tokens"]}
    ordered = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
    tokens = (bytes(map(letters.__getitem__, token)) for token, _ in ordered if token not in special)
    lost = {token.encode() for token in _CLAUDE_LOST}
    return {token: rank for rank, token in enumerate(tokens) if token not in lost}


def _bundled_file(name: str) -> Path | None:
    spec = find_spec("litellm")
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = (Path(folder, "litellm_core_utils", "tokenizers", name) for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _foreign(name: str) -> tiktoken.Encoding:
    if name not in tiktoken.list_encoding_names():
        known = ", ".join(sorted({*BUNDLED, *tiktoken.list_encoding_names()}))
        raise ConfigError(f'there is no tokenizer "{name}"; known are: {known}')
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:  # tiktoken raises whatever its HTTP library, the disk or the file's digest give
        raise ConfigError(
            f"the vocabulary {name} is neither in the installed litellm nor to be downloaded "
            f"({type(error).__name__}): pip install --force-reinstall litellm"
        ) from error

"""What content that is not in the request is taken to weigh at most, in tokens.

Not promises: nobody can bound a stored conversation offline but by the model's window.  They are
large enough for what is usual, so that a hold is never empty, and small enough not to refuse every
such call.  November 2026.
"""

from __future__ import annotations

IMAGE = 2_000
"""An image by address or id, where the model's own geometry does not say more."""
FILE = 4_000
"""A document by address or id: two to five pages with their images.  Of 18 recorded ones all but one (73,630)
added less than 2,700."""
PAGE_OF_TEXT = 1_200
"""The text of a PDF page that cannot be read here, above what it is guessed to be."""
WEB = 24_000
"""What a search or a fetched page brings into the same call (recorded: 5,000 to 26,000)."""
PRESET = 2_000
"""A prompt stored at a reseller."""
SOUND = 6_000
"""Three minutes at Gemini's 32 a second."""
FILM = 50_000
"""Three minutes at 263 a second."""
CONVERSATION = 32_000
"""`previous_response_id`, `conversation`, an item by its id, cached content."""
REASONING = 2_000
"""Thoughts that the provider keeps (recorded: up to 2,100 an item)."""
OTHER = 8_000
SERVER_TOOL = 4_000
"""A tool the provider runs: its own prompt, before any result."""

BY_WORD = {
    "image": IMAGE,
    "document": FILE,
    "file": FILE,
    "container": FILE,
    "audio": SOUND,
    "video": FILM,
    "previous_response_id": CONVERSATION,
    "conversation": CONVERSATION,
    "cached": CONVERSATION,
    "item": CONVERSATION,
    "prompt": FILE,
    "preset": PRESET,
    "models": PRESET,
}
"""First word of `Unseen.what`, or kind of a Media, -> bound; else OTHER."""

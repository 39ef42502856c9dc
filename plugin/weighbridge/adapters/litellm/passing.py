"""Streams that LiteLLM passes through as they are: no hook is shown what goes by in them.

But one is shown the answer before it is read.  So it is told whom to read through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from weighbridge.adapters.litellm import usage
from weighbridge.adapters.litellm.haul import Haul, Office
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.endings import LEFT, interrupted

UNPACKED = ("content-encoding", "content-length")
"""Headers of the bytes as they came, before httpx unpacked them."""


def attend(office: Office, haul: Haul, ticket: Ticket, answer: Any) -> None:
    """Meter an answer (an `httpx.Response`) while LiteLLM reads it, and settle the call at its end.
    One that is read already, or is no answer, is left alone: other hooks are shown those."""
    if haul.ended or haul.streams or answer.status_code >= 400 or answer.is_stream_consumed:
        return
    haul.streams = True
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in UNPACKED}
    meter, read = DIALECTS[ticket.call.dialect].meter(ticket.call, headers), answer.aiter_bytes

    async def metered(chunk_size: int | None = None) -> AsyncIterator[bytes]:
        cut = LEFT
        try:
            async for chunk in read(chunk_size):
                if passed := meter.feed(chunk):
                    yield passed
            if rest := meter.finish():
                yield rest
            cut = ""
        except Exception as error:
            cut = interrupted(error)
            raise
        finally:
            office.end(haul, usage.ending(meter, cut))

    answer.aiter_bytes = metered

"""The official SDKs over a weighbridge transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from google import genai

from adapters.crossings import Yard
from weighbridge.adapters import httpx as over_httpx
from weighbridge.adapters import httpx2 as over_httpx2


def openai_over(at: Yard, team: str = "free", **more: Any) -> openai.OpenAI:
    client = httpx.Client(transport=over_httpx.Transport(guard=at.guard, team=team))
    return openai.OpenAI(base_url=f"{at.url}/v1", api_key="sk-mine", http_client=client, **more)


def async_openai_over(at: Yard, team: str = "free", **more: Any) -> openai.AsyncOpenAI:
    client = httpx.AsyncClient(transport=over_httpx.AsyncTransport(guard=at.async_guard, team=team))
    return openai.AsyncOpenAI(base_url=f"{at.url}/v1", api_key="sk-mine", http_client=client, **more)


def anthropic_over(at: Yard, team: str = "free", **more: Any) -> anthropic.Anthropic:
    client = httpx2.Client(transport=over_httpx2.Transport(guard=at.guard, team=team))
    return anthropic.Anthropic(base_url=at.url, api_key="sk-mine", http_client=client, **more)


def async_anthropic_over(at: Yard, team: str = "free", **more: Any) -> anthropic.AsyncAnthropic:
    client = httpx2.AsyncClient(transport=over_httpx2.AsyncTransport(guard=at.async_guard, team=team))
    return anthropic.AsyncAnthropic(base_url=at.url, api_key="sk-mine", http_client=client, **more)


@contextmanager
def genai_over(at: Yard, team: str = "free") -> Iterator[genai.Client]:
    with httpx2.Client(transport=over_httpx2.Transport(guard=at.guard, team=team)) as client:
        yield genai.Client(api_key="sk-mine", http_options=_options(at, httpx_client=client))


@asynccontextmanager
async def async_genai_over(at: Yard, team: str = "free") -> AsyncIterator[Any]:
    transport = over_httpx2.AsyncTransport(guard=at.async_guard, team=team)
    async with httpx2.AsyncClient(transport=transport) as client:
        # The SDK makes a client of the other kind too, and leaves it open.
        with httpx2.Client() as unused:
            options = _options(at, httpx_client=unused, httpx_async_client=client)
            yield genai.Client(api_key="sk-mine", http_options=options).aio


def _options(at: Yard, **clients: Any) -> Any:
    return {"base_url": at.url, **clients}

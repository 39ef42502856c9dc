"""The official SDKs over a weighbridge transport, each with the HTTP library that it is made with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import requires
from typing import Any

import anthropic
import httpx
import openai
from google import genai
from packaging.requirements import Requirement

from adapters.crossings import LIBRARIES, Yard
from weighbridge.adapters import httpx as over_httpx


def made_with(sdk: str) -> str:
    """The HTTP library, a key of `LIBRARIES`, whose clients an SDK takes."""
    needs = {Requirement(need).name for need in requires(sdk) or ()}
    return "httpx2" if "httpx2" in needs else "httpx"


def openai_over(at: Yard, team: str = "free", **more: Any) -> openai.OpenAI:
    client = httpx.Client(transport=over_httpx.Transport(guard=at.guard, team=team))
    return openai.OpenAI(base_url=f"{at.url}/v1", api_key="sk-mine", http_client=client, **more)


def async_openai_over(at: Yard, team: str = "free", **more: Any) -> openai.AsyncOpenAI:
    client = httpx.AsyncClient(transport=over_httpx.AsyncTransport(guard=at.async_guard, team=team))
    return openai.AsyncOpenAI(base_url=f"{at.url}/v1", api_key="sk-mine", http_client=client, **more)


def anthropic_over(at: Yard, team: str = "free", **more: Any) -> anthropic.Anthropic:
    library, transports = LIBRARIES[made_with("anthropic")]
    client = library.Client(transport=transports.Transport(guard=at.guard, team=team))
    return anthropic.Anthropic(base_url=at.url, api_key="sk-mine", http_client=client, **more)


def async_anthropic_over(at: Yard, team: str = "free", **more: Any) -> anthropic.AsyncAnthropic:
    library, transports = LIBRARIES[made_with("anthropic")]
    client = library.AsyncClient(transport=transports.AsyncTransport(guard=at.async_guard, team=team))
    return anthropic.AsyncAnthropic(base_url=at.url, api_key="sk-mine", http_client=client, **more)


@contextmanager
def genai_over(at: Yard, team: str = "free") -> Iterator[genai.Client]:
    library, transports = LIBRARIES[made_with("google-genai")]
    with library.Client(transport=transports.Transport(guard=at.guard, team=team)) as client:
        yield genai.Client(api_key="sk-mine", http_options=_options(at, httpx_client=client))


@asynccontextmanager
async def async_genai_over(at: Yard, team: str = "free") -> AsyncIterator[Any]:
    library, transports = LIBRARIES[made_with("google-genai")]
    transport = transports.AsyncTransport(guard=at.async_guard, team=team)
    async with library.AsyncClient(transport=transport) as client:
        # The SDK makes a client of the other kind too, and leaves it open.
        with library.Client() as unused:
            options = _options(at, httpx_client=unused, httpx_async_client=client)
            yield genai.Client(api_key="sk-mine", http_options=options).aio


def _options(at: Yard, **clients: Any) -> Any:
    return {"base_url": at.url, **clients}

"""Sends a `Post`, with `await` and without, over httpx, which is imported at the first one."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from weighbridge.core.flow import Answered, Post, Unanswered

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 2.0


class Wire:
    """For programs without an event loop."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._opening = Lock()

    def send(self, post: Post) -> Answered | Unanswered:
        """The answer, redirects not followed.  Raises nothing of the network's."""
        try:
            answer = self._open().post(post.url, content=post.body, headers=post.headers, timeout=_timeout(post))
        except _httpx().HTTPError as error:
            return _silence(error)
        return Answered(answer.status_code, dict(answer.headers), answer.content)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> httpx.Client:
        with self._opening:
            if self._client is None:
                self._client = _httpx().Client(trust_env=False, follow_redirects=False)
            return self._client


class AsyncWire:
    """For event loops; one at a time."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, post: Post) -> Answered | Unanswered:
        """The answer, redirects not followed.  Raises nothing of the network's."""
        client = self._client
        if client is None or self._loop is not asyncio.get_running_loop():
            client = await self._open()
        try:
            async with asyncio.timeout(post.seconds):
                answer = await client.post(post.url, content=post.body, headers=post.headers, timeout=_timeout(post))
        except TimeoutError:
            return Unanswered("no answer in time")
        except _httpx().HTTPError as error:
            return _silence(error)
        return Answered(answer.status_code, dict(answer.headers), answer.content)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _open(self) -> httpx.AsyncClient:
        # The import, and reading the certificates, would keep the loop for a fifth of a second.
        client: httpx.AsyncClient = await asyncio.to_thread(
            lambda: _httpx().AsyncClient(trust_env=False, follow_redirects=False)
        )
        loop = asyncio.get_running_loop()
        if self._client is not None and self._loop is loop:
            # Another question was quicker.
            await client.aclose()
            return self._client
        self._client, self._loop = client, loop
        return client


def _httpx() -> Any:
    """Imported at the first question: most processes never ask one."""
    import httpx

    return httpx


def _timeout(post: Post) -> Any:
    return _httpx().Timeout(post.seconds, connect=min(CONNECT_SECONDS, post.seconds))


def _silence(error: Exception) -> Unanswered:
    unsent = isinstance(error, (_httpx().ConnectError, _httpx().ConnectTimeout, _httpx().PoolTimeout))
    return Unanswered(type(error).__name__, sent=not unsent)

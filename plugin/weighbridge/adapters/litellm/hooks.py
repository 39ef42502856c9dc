"""LiteLLM's hooks.  Each is defined on this very class: LiteLLM does not look at inherited ones."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
from fastapi import HTTPException
from litellm.exceptions import Timeout
from litellm.integrations.custom_logger import CustomLogger

from weighbridge.adapters.litellm import usage
from weighbridge.adapters.litellm.fleet import reports_usage
from weighbridge.adapters.litellm.haul import CURRENT, Haul, Office, served_by
from weighbridge.adapters.litellm.passing import attend
from weighbridge.adapters.litellm.request import amended, asked, principal
from weighbridge.adapters.litellm.unmetered import PASSING, ROUTED, call_passes, path_passes, unseen_of_a_client
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.addresses import READING, spoken, unmetered
from weighbridge.core.dialects.base import Meter
from weighbridge.core.endings import LEFT, interrupted
from weighbridge.core.errors import Refused, WeighbridgeError
from weighbridge.core.model import CutOff, Ending, NeverSent, Usage

log = logging.getLogger("weighbridge")

UNREADY: Final = "The ledger cannot be opened, so this request was not let through; the proxy's log says why."
CHATS: Final = ("acompletion", "completion")
"""LiteLLM's names of a call it sends as a chat, whatever the client speaks."""
STRIP: Final = "_litellm_strip_stream_usage"
"""In a request's data: its client did not ask for the usage a stream reports, and is not shown it."""


class Plugin(CustomLogger):  # type: ignore[misc]  # LiteLLM is not typed for us
    """Weighs and holds before the router is asked; learns who answered and what was used.

    Inside the wrapper it only tells what it knows; by itself it settles too, and then what no hook is
    shown is not seen: the rest of an answer whose client left.
    """

    def __init__(self, office: Office) -> None:
        super().__init__()
        self.office = office

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Weigh, decide and hold.  Raises HTTPException where the answer is no."""
        call, path = _named(call_type), user_api_key_dict.request_route or ""
        haul = CURRENT.get()
        if haul is not None and haul.ticket is not None and not haul.ended:
            return None
        if haul is None or haul.ended or haul.let_pass:
            haul = Haul(wrapped=False) if haul is None else Haul(False, haul.method, haul.path)
            CURRENT.set(haul)
        request = asked(data, call, path)
        if request is None or (call in PASSING and haul.method in READING):
            return self._let_pass(haul, data, call, path)
        haul.call_id = _call_id(data)
        who = principal(user_api_key_dict, data)
        try:
            changed = await self.office.open(haul, request, who, user_api_key_dict.team_id, data)
        except Refused as error:
            raise _no(error, haul) from None
        except WeighbridgeError as error:
            log.error("weighbridge cannot begin: %s", error)
            raise HTTPException(503, UNREADY) from None
        if request.stream and request.dialect == "openai-chat" and "stream_options" not in data:
            data[STRIP] = True
        if changed is None:
            return None
        amended(data, request, changed)
        rerouted = None if haul.ticket is None else haul.ticket.weighed.detour.model
        return data if rerouted is None else data | {"model": rerouted}

    def _let_pass(self, haul: Haul, data: Any, call: str, path: str) -> None:
        """What nothing weighs.  Raises HTTPException unless it runs no model, or settings let it pass."""
        method = haul.method or (str(data.get("method", "")) if call == ROUTED else "")
        free = path_passes(method, path) if call in PASSING else call_passes(call)
        if not free and self.office.settings.unmetered_routes == "refuse":
            raise _unmetered(haul, method, path or call)
        haul.let_pass = True

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> Any:
        """Who is asked now; told again at each retry and each fallback.  The last door, too: what
        LiteLLM sends on for a client without having called the hook before is refused here."""
        haul = self.office.find(kwargs.get("litellm_call_id"))
        if haul is not None:
            haul.served = served_by(kwargs) or haul.served
            if _named(call_type) in CHATS:
                _ask_usage(haul, kwargs)
        here = CURRENT.get()
        unseen = None if here is not None and here.judged else unseen_of_a_client(kwargs)
        if unseen is not None and self.office.settings.unmetered_routes == "refuse":
            raise _unmetered(here or Haul(wrapped=False), *unseen)

    async def async_post_call_success_hook(self, data: Any, user_api_key_dict: Any, response: Any) -> Any:
        """A whole answer."""
        haul = self.office.find(_call_id(data))
        if haul is None or haul.ticket is None:
            return
        haul.cached = _from_cache(response)
        haul.usage = haul.usage or usage.in_answer(response, haul.ticket.call.dialect)
        if not haul.wrapped:
            self.office.end(haul, CutOff(usage.NO_USAGE))

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Exception, user_api_key_dict: Any, traceback_str: str | None = None
    ) -> Any:
        """No answer."""
        haul = self.office.find(_call_id(request_data))
        if haul is None or haul.ticket is None:
            return
        failed = _failed(original_exception)
        if isinstance(failed, CutOff):
            haul.cut = failed.reason
        if not haul.wrapped:
            self.office.end(haul, failed)

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: Any
    ) -> AsyncIterator[Any]:
        """A stream: its usage is taken down before LiteLLM takes it out again."""
        haul = self.office.find(_call_id(request_data))
        if haul is None or haul.ticket is None:
            async for chunk in response:
                yield chunk
            return
        haul.streams, haul.cached = True, _from_cache(response)
        watch, cut = _Watch(haul), LEFT
        failed: Ending | None = None
        try:
            async for chunk in response:
                watch.see(chunk)
                yield chunk
            # What a stream that broke off said on its way is not the whole of it.
            cut, haul.usage = "", watch.usage
        except Exception as error:
            cut = interrupted(error)
            failed = None if watch.began else _failed(error)
            raise
        finally:
            if not haul.wrapped:
                self.office.end(haul, failed or usage.ending(watch.meter, cut))

    async def async_post_call_response_headers_hook(
        self,
        data: Any,
        user_api_key_dict: Any,
        response: Any,
        request_headers: Any = None,
        litellm_call_info: Any = None,
    ) -> dict[str, str] | None:
        """What was decided.  The wrapper says it on every route, and sees what passes through."""
        haul = self.office.find(_call_id(data))
        if haul is None or haul.wrapped or haul.ticket is None:
            return None
        if isinstance(response, httpx.Response):
            attend(self.office, haul, haul.ticket, response)
        return reply.admitted(haul.ticket)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM's own last word: the only one for what passes through."""
        haul = self.office.find(kwargs.get("litellm_call_id"))
        if haul is None or haul.wrapped or haul.streams or haul.ticket is None:
            return
        told = kwargs.get("standard_logging_object") or {}
        haul.cached = haul.cached or bool(told.get("cache_hit"))
        passed = (kwargs.get("passthrough_logging_payload") or {}).get("response_body")
        haul.usage = (
            haul.usage
            or usage.in_litellm((told.get("metadata") or {}).get("usage_object") or told)
            or usage.in_answer(passed, haul.ticket.call.dialect)
        )
        # Nobody saw it go by: it is taken for as long as it may have been.
        self.office.end(haul, CutOff(usage.NO_USAGE, seen_events=haul.ticket.units))


def _failed(error: Exception) -> Ending:
    """No answer, not even its beginning: one that came too late may have been generated."""
    return CutOff("LiteLLM gave up waiting") if isinstance(error, Timeout) else NeverSent(type(error).__name__)


def _ask_usage(haul: Haul, kwargs: Any) -> None:
    """LiteLLM asks for the usage of a streamed chat by what the deployment it chose first can do: a
    fallback to another kind would report none."""
    options = kwargs.get("stream_options") or {}
    if haul.ticket is None or not kwargs.get("stream"):
        return
    if not options.get("include_usage") and reports_usage(str(kwargs.get("model")), kwargs.get("custom_llm_provider")):
        kwargs["stream_options"] = {**options, "include_usage": True}


class _Watch:
    """Looks at the chunks of a stream as LiteLLM hands them on: bytes, or objects of its own."""

    def __init__(self, haul: Haul) -> None:
        assert haul.ticket is not None
        call = haul.ticket.call
        self._haul = haul
        self._dialect = call.dialect
        self.began = False
        """A chunk went by."""
        self.usage: Usage | None = None
        """What the provider reported so far."""
        self.meter: Meter = DIALECTS[call.dialect].meter(call, {"content-type": "text/event-stream"})

    def see(self, chunk: Any) -> None:
        """Meter a chunk, and keep what it says was used."""
        self.began = True
        self._haul.cached = self._haul.cached or _from_cache(chunk)
        self.usage = _in_chunk(chunk, self._dialect) or self.usage
        if not self._haul.wrapped:
            self.meter.feed(_wire(chunk))


def _in_chunk(chunk: Any, dialect: str) -> Usage | None:
    """LiteLLM hides the usage that the client did not ask for behind the chunk."""
    hidden = getattr(chunk, "_hidden_params", None)
    hidden = hidden.get("usage") if isinstance(hidden, dict) else None
    told = hidden or getattr(chunk, "usage", None)
    if told is not None:
        return usage.in_litellm(usage.plain(told) or {}, getattr(chunk, "service_tier", None))
    return usage.in_answer(chunk, dialect) if getattr(chunk, "response", None) is not None else None


def _wire(chunk: Any) -> bytes:
    """A chunk as it goes to the client."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    if hasattr(chunk, "model_dump_json"):
        text: str = chunk.model_dump_json(by_alias=True, exclude_none=True, warnings=False)
    else:
        text = json.dumps(usage.plain(chunk) or {})
    return b"data: " + text.encode() + b"\n\n"


def _no(error: Refused, haul: Haul) -> HTTPException:
    """A refusal as LiteLLM passes it on; in the wrapper nobody sees it."""
    headers = {} if haul.refusal is None else dict(haul.refusal.headers)
    headers = {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}
    detail = {"error": error.message, "code": error.reason, "weighbridge": reply.verdict_refused(error, None)}
    return HTTPException(error.status, detail, headers)


def _unmetered(haul: Haul, method: str, where: str) -> HTTPException:
    where = haul.path or where
    error = unmetered(haul.method or method, where)
    haul.refuse(error, spoken(where))
    return _no(error, haul)


def _named(call_type: Any) -> str:
    """LiteLLM's name of a call, which it gives as a word or as a member of an enumeration."""
    return str(getattr(call_type, "value", call_type))


def _from_cache(answer: Any) -> bool:
    hidden = getattr(answer, "_hidden_params", None)
    return bool(hidden.get("cache_hit") or hidden.get("cache_key")) if isinstance(hidden, dict) else False


def _call_id(data: Any) -> str:
    """LiteLLM's id of a request.  What passes through has it in the logger it carries; beside that, the
    client may say what it likes."""
    found = getattr(data.get("litellm_logging_obj"), "litellm_call_id", None) or data.get("litellm_call_id")
    return str(found or "")

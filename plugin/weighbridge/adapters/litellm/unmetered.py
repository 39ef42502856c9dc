"""What cannot be weighed in a LiteLLM proxy: by LiteLLM's name of a call, and by the path of a request.

A call is weighed (`request.CALLS`), or runs no model (the tables here), or is refused.  So a kind of
call that a newer LiteLLM brings is refused until somebody says here what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from weighbridge.adapters.litellm.request import spoken
from weighbridge.core.dialects.addresses import READING, runs_no_model

ROUTED: Final = "allm_passthrough_route"
"""LiteLLM's name for what passes through to a deployment of its router."""
PASSING: Final = frozenset(("pass_through_endpoint", ROUTED))
FREE_CALLS: Final = re.compile(
    r"a?(get|list|retrieve|delete|cancel)_\w+"
    r"|a?(file|video)_(retrieve|list|content|delete|status|get_character)"
    r"|a?vector_store(_file)?_(create|retrieve|list|content|update|delete)"
    r"|a?create_(file|skill|eval|assistants|thread)|a?update_eval|a_add_message"
    r"|a?moderation"
    r"|call_mcp_tool"
)
"""Calls that run no model: they read, list, throw away or stop something, keep files and lists, or ask
somebody's tool.  A search in a vector store is none of them: many a store embeds the question."""
FREE_PATHS: Final = re.compile(
    r"/(mcp|mcp-rest|toolset|langfuse|utils|vector_store|claude-code)(/.*)?"
    r"|/v1/(mcp|traces|logs|vector_store)(/.*)?"
    r"|/(token|introspect)"
)
"""LiteLLM's own routes that run no model, beside those that are free at every provider."""
READ_PATHS: Final = re.compile(
    r".*/(v1|v1beta)/models(/[^/:]+)?"
    r"|.*/v1/(batches|fine_tuning/jobs|responses)/(?!compact$)[^/]+"
)
"""What is read at providers, where nobody knows the method: a POST there buys nothing."""
UNSEEN: Final = frozenset(("/queue/chat/completions",))
"""Routes in a known format that call no hook."""
NAMELESS: Final = "What passes through to a deployment"
DOTS: Final = frozenset((".", ".."))


def call_passes(call: str) -> bool:
    """Whether a call that nothing weighs certainly runs no model."""
    return FREE_CALLS.fullmatch(call) is not None


def path_passes(method: str, path: str) -> bool:
    """Whether a request certainly runs no model.  `method` is empty where nobody knows it."""
    if not _plain(path):
        return False
    if method in READING:
        return True
    found = spoken(path)
    if found is not None:
        return found.kind != "generate"
    if FREE_PATHS.fullmatch(path) or runs_no_model("POST", path):
        return True
    return not method and READ_PATHS.fullmatch(path) is not None


def hooks_weigh(path: str) -> bool:
    """Whether LiteLLM's hooks see what is posted to a path before it is sent, in a wire format that is known."""
    return _plain(path) and path not in UNSEEN and spoken(path) is not None


def unseen_of_a_client(kwargs: Mapping[str, Any]) -> tuple[str, str] | None:
    """Method and path (or name) of what LiteLLM is about to send, where a client asked for it and it may run
    a model.  What LiteLLM asks for itself (health checks, guards, its semantic cache) is None."""
    call = str(getattr(kwargs.get("litellm_logging_obj"), "call_type", ""))
    request = kwargs.get("proxy_server_request") or {}
    # The address is only told: a client's Host header can bend it.
    method, path = str(request.get("method", "")), urlsplit(str(request.get("url", ""))).path
    if call_passes(call) or not (request or call == ROUTED):
        return None
    return method, path or NAMELESS


def _plain(path: str) -> bool:
    """A provider may resolve dots in a path, and then answer a route that was never let through."""
    return DOTS.isdisjoint(unquote(path).split("/"))

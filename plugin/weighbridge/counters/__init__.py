"""Remote counters: a provider is asked what a prompt weighs.

A counter is pure (`question.Api`: a request's body becomes a Question, an answer's JSON a number);
`remote.Remote` asks, with retries, a governor, a circuit breaker and a cache, as a flow whose only
I/O is the `Post` it yields; `transport` sends that, with `await` and without.
"""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.counters import anthropic, gemini, openai, pangu
from weighbridge.counters.question import Account, Api
from weighbridge.counters.remote import Remote, When

__all__ = ["APIS", "Account", "Api", "Remote", "When"]

APIS: Mapping[str, Api] = {module.API.name: module.API for module in (openai, anthropic, gemini, pangu)}
"""Name of a counter -> how it is asked."""

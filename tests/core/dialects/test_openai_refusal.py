from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import Obstacle, Reason, Refused

OPENAI = [dialect for name, dialect in DIALECTS.items() if name.startswith("openai-")]


def refused(error: Refused) -> Any:
    """The error object of a refusal, the same in all four formats."""
    bodies = [dialect.refusal(error) for dialect in OPENAI]
    assert len(bodies) == 4 and all(body == bodies[0] for body in bodies)
    assert list(bodies[0]) == ["error"]
    return json.loads(json.dumps(bodies[0]))["error"]


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_has_its_words(reason: Reason) -> None:
    error = refused(Refused(reason, "No.", param="model"))
    assert list(error) == ["message", "type", "param", "code", "weighbridge"]
    assert (error["message"], error["param"]) == ("No.", "model")
    assert isinstance(error["type"], str) and (error["code"] is None or isinstance(error["code"], str))
    assert error["weighbridge"]["reason"] == reason


CODES: list[Any] = [
    ("malformed", "invalid_request_error", None),
    ("context_length", "invalid_request_error", "context_length_exceeded"),
    ("budget", "insufficient_quota", "insufficient_quota"),
    ("rate", "requests", "rate_limit_exceeded"),
    ("unknown_key", "invalid_request_error", "invalid_api_key"),
    ("model_not_allowed", "invalid_request_error", "model_not_found"),
    ("store_down", "server_error", "service_unavailable"),
]


@pytest.mark.parametrize(("reason", "kind", "code"), CODES)
def test_types_and_codes(reason: Reason, kind: str, code: str | None) -> None:
    error = refused(Refused(reason, "No."))
    assert (error["type"], error["code"]) == (kind, code)


def test_a_rate_in_tokens_says_so_and_carries_its_scope() -> None:
    obstacle = Obstacle("p", {"team": "t"}, "tokens", 10, 4, 5, 3, 1_767_225_599_000)
    error = refused(Refused("rate", "No.", obstacles=(obstacle,), would_fit=1))
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    part = error["weighbridge"]
    assert (part["policy"], part["scope"], part["resets_at"]) == ("p", {"team": "t"}, "2025-12-31T23:59:59Z")
    assert part["would_fit"] == {"max_tokens": 1}


def test_a_full_window_is_told_by_the_phrase_clients_look_for() -> None:
    error = refused(Refused("context_length", "Shorten it.", counted=200, limit=100))
    assert error["message"] == (
        "This model's maximum context length is 100 tokens. However, your messages resulted in 200 tokens. Shorten it."
    )

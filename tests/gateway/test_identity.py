"""Who asks is known by the key alone; keys stay here, and tags are for reports and budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD, refused
from gateway.running import Gateway
from gateway.upstream import TAPE_HEADER, Upstream

FORMATS = pytest.mark.parametrize("format", list(GOOD))


@FORMATS
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-not-ours"}, {"x-api-key": "wb-" + "a" * 43},
                                     {"authorization": "Basic x"}, {"x-goog-api-key": "wb-\xff"}])  # fmt: skip
def test_keys_nobody_made(gateway: Gateway, key: str, format: str, headers: dict[str, str]) -> None:
    path, body = GOOD[format]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = httpx.post(f"{gateway.url}{path}", json=body, headers=encoded)
    refused(format, answer, 401, "unknown_key")


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "bearer": lambda key: {"headers": {"authorization": f"Bearer {key}"}},
    "x-api-key": lambda key: {"headers": {"x-api-key": key}},
    "x-goog-api-key": lambda key: {"headers": {"x-goog-api-key": key}},
    "x-auth-token": lambda key: {"headers": {"x-auth-token": key}},
    "query": lambda key: {"params": {"key": key}},
}


@FORMATS
@pytest.mark.parametrize("place", list(PLACES))
def test_a_key_wherever_it_is_put_stays_here(
    gateway: Gateway, key: str, upstream: Upstream, format: str, place: str
) -> None:
    path, body = GOOD[format]
    request = PLACES[place](key)
    request["headers"] = {**request.get("headers", {}), TAPE_HEADER: f"place-{format}-{place}"}
    assert httpx.post(f"{gateway.url}{path}", json=body, **request).status_code == 200
    (seen,) = upstream.of(f"place-{format}-{place}")
    assert key not in f"{seen.headers} {seen.query} {seen.body!r}"


def test_identity_is_not_taken_from_the_clients_words(client: httpx.Client, gateway: Gateway) -> None:
    path, body = GOOD["openai-chat"]
    spoof = {f"x-weighbridge-{field}": "broke" for field in ("team", "org", "user", "key")}
    answer = client.post(path, json=body, headers=spoof)
    assert answer.status_code == 200
    entry = gateway.entry(answer)
    assert (entry.team, entry.org, entry.user) == ("free", "", "")


OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")


@pytest.mark.parametrize("name", OVERRIDES)
def test_no_reading_becomes_a_generating_at_the_provider(client: httpx.Client, upstream: Upstream, name: str) -> None:
    """Providers may take a header's word for the method; what was let through as a list stays one."""
    body = GOOD["gemini-generate"][1]
    client.request("GET", "/v1beta/models", json=body, headers={name: "POST", TAPE_HEADER: f"override-{name}"})
    (seen,) = upstream.of(f"override-{name}")
    assert name not in seen.headers
    path = GOOD["gemini-generate"][0]
    assert client.request("GET", path, json=body, headers={name: "POST"}).status_code == 403


def test_tags_are_for_reports_and_budgets(client: httpx.Client, gateway: Gateway) -> None:
    path, body = GOOD["openai-chat"]
    answer = client.post(path, json=body, headers={"x-weighbridge-tags": "run=42, feature=search"})
    assert gateway.entry(answer).tags == {"run": "42", "feature": "search"}
    capped = {"x-weighbridge-tags": "run=capped"}
    first = client.post(path, json=body, headers=capped)
    second = client.post(path, json=body, headers=capped)
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error"]["weighbridge"]["policy"] == "runs"


@pytest.mark.parametrize("tags", ["run", "=7", "a=b,c", ",".join(f"t{i}={i}" for i in range(500)), "a=" + "x" * 5000])
def test_tags_that_are_none(client: httpx.Client, tags: str) -> None:
    path, body = GOOD["openai-chat"]
    refused("openai-chat", client.post(path, json=body, headers={"x-weighbridge-tags": tags}))

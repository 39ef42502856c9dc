"""Whatever a provider bills for, the ledger charges, to the token and the nano-dollar."""

from __future__ import annotations

import httpx
import pytest

from gateway.bills import KINDS, Kind, answered, asked, invoice
from gateway.running import Gateway
from gateway.upstream import TAPE_HEADER, Upstream
from weighbridge.core.endings import WAYS

WAYS_TO_ASK = {"gemini-generate": ("", "sse", "array")}
CASES = [
    pytest.param(kind, stream, id=f"{kind.dialect}-{stream or 'plain'}-{kind.name}")
    for kind in KINDS
    for stream in WAYS_TO_ASK.get(kind.dialect, ("", "sse"))
]


@pytest.mark.parametrize(("kind", "stream"), CASES)
def test_what_is_billed_is_charged(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, kind: Kind, stream: str
) -> None:
    name = f"bill-{kind.dialect}-{kind.name}-{stream}"
    upstream.tape[name] = answered(kind, stream)
    path, body = asked(kind, stream)
    before = sum(state.spent for state in gateway.counters("all-free").values())
    response = client.post(path, json=body, headers={TAPE_HEADER: name})
    assert response.status_code == 200, response.text
    entry = gateway.entry(response)
    bill = invoice(kind.model, kind.lines, kind.searches)
    assert (entry.ending, entry.input, entry.output) == (WAYS["answered"].journal, *kind.tokens)
    assert entry.nano_usd == bill
    assert sum(state.spent for state in gateway.counters("all-free").values()) - before == bill

"""Three teams, their policies and their keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from weighbridge import wiring
from weighbridge.core import keys
from weighbridge.core.policy import shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store
from weighbridge.settings import read_policies

TEAMS: Final = ("research", "support", "interns")
POLICIES: Final = """\
policies:
  - name: research-month
    match: {team: research}
    limit: {usd: 5}
    window: month
  - name: support-month
    match: {team: support}
    limit: {usd: 0.05}
    window: month
  - name: interns-pace
    match: {team: interns}
    limit: {requests: 3}
    window: minute
  - name: interns-models
    match: {team: interns}
    models: {allow: ["*-mini", "*haiku*", "gemini-*-flash*"]}
  - name: interns-prompts
    match: {team: interns}
    context: {max_input_tokens: 2000}
"""


def settle_in(store: Store) -> Mapping[str, str]:
    """Apply the policies and create a key for each team; team -> key."""
    policies, defaults = read_policies(POLICIES, "the demo's policies")
    store.run(Put("policies", shelf.write(policies, defaults)))
    issued = {team: keys.PREFIX + secrets.token_urlsafe(32) for team in TEAMS}
    now = wiring.clock()
    documents = {
        keys.digest(secret): keys.new_document(
            id="key_" + secrets.token_hex(6), team=team, org="acme", alias=f"{team}-demo", now=now
        )
        for team, secret in issued.items()
    }
    store.run(Put("keys", documents))
    return issued

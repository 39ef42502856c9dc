"""Imported policies decide as LiteLLM does: the same day of traffic, call by call, and where they part."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from itertools import count

import pytest

from adapters.litellm_day import CONFIG, MIDNIGHT, REAL, LiteLLM, Sent, day
from weighbridge import wiring
from weighbridge.core.errors import Refused
from weighbridge.core.migration.litellm import migrate
from weighbridge.core.model import Principal, RawCall, Reported, Usage
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk
from weighbridge.guard import Guard
from weighbridge.ledger.memory import MemoryStore
from weighbridge.settings import load

TEAMS = {"t1": "research", "t2": "support"}


class Ours:
    """Our answers, by the policies that the import wrote."""

    def __init__(self) -> None:
        self.now = MIDNIGHT
        made = migrate(CONFIG)
        store = MemoryStore(lambda: self.now)
        store.run(Put("policies", shelf.write(*parse.policies({"policies": made.policies, "defaults": made.defaults}))))
        ids = count()
        scale = wiring.scale(load(store="memory://"))
        self.guard = Guard(Desk(scale, lambda: self.now, ids=lambda: f"{next(ids)}"), store)

    def raw(self, sent: Sent) -> RawCall:
        body = {
            "model": REAL[sent.group], "max_tokens": sent.most, "messages": [{"role": "user", "content": sent.text}]
        }  # fmt: skip
        return RawCall("openai-chat", json.dumps(body).encode(), Principal(team=TEAMS[sent.team], key=sent.key))

    def prompt(self, sent: Sent) -> int:
        return self.guard.weigh(self.raw(sent)).estimate.tokens

    def decide(self, sent: Sent) -> str:
        """ "" for a call that passes and is charged, else the policies in the way."""
        self.now = sent.at
        try:
            ticket = self.guard.open(self.raw(sent))
        except Refused as error:
            return ", ".join(sorted({o.policy for o in error.obstacles})) or error.reason
        used = Usage(input=ticket.weighed.estimate.tokens, output=min(sent.output, ticket.units))
        self.guard.close(ticket, Reported(used))
        return ""


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> LiteLLM:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return LiteLLM()
        except ImportError as error:
            pytest.skip(f"LiteLLM's own limiters need its proxy extra: {error}")


SAME = {
    "blocked": {"model_not_allowed"},
    "model": {"model_not_allowed"},
    "budget": {"team-support-usd", "team-research-usd", "key-bob-usd"},
    "model budget": {"key-ann-on-smart-usd"},
    "rate": {"key-ann-requests", "team-research-requests", "key-bot-tokens"},
}
"""Why LiteLLM refuses -> the policies that were made of it."""
TOKENS = "tokens a minute: LiteLLM holds all of max_tokens or refuses, here the output is lowered to what is left"
ROLLING = "a minute that rolls: LiteLLM's begins anew at once, and lets twice the rate by around it"
MONEY = "money: LiteLLM lets the last call overspend, here it is lowered or refused"


def difference(sent: Sent, theirs: str, ours: str) -> str:
    """Why one refused and the other did not; "" where they agree."""
    if bool(theirs) == bool(ours):
        return ""
    if "usd" in ours or theirs in ("budget", "model budget"):
        return MONEY
    return TOKENS if sent.key == "bot" else ROLLING


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.filterwarnings("ignore")
async def test_a_day_is_decided_alike(litellm: LiteLLM, seed: int) -> None:
    ours, traffic = Ours(), day(seed)
    differ: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for sent in traffic:
        theirs, mine = await litellm.decide(sent, ours.prompt(sent)), ours.decide(sent)
        differ[difference(sent, theirs, mine)] += 1
        if theirs and mine:
            reasons[theirs] += 1
            assert set(mine.split(", ")) & SAME[theirs] or theirs in ("budget", "rate")
    agreed = differ.pop("") / len(traffic)
    assert agreed >= 0.95, differ
    assert set(differ) <= {TOKENS, ROLLING, MONEY}
    assert differ[ROLLING] + differ[MONEY] <= 0.02 * len(traffic), differ
    assert set(reasons) == set(SAME), "each kind of limit was reached"

"""Coding agents that may write 64,000 tokens, on a budget of 25 dollars: no phantom refusal and no overspend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gates import Clock, raw
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import Refused
from weighbridge.core.extension import Coverage
from weighbridge.core.ledger import Counters, Entries, State
from weighbridge.core.model import CutOff, Reported, Usage
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk
from weighbridge.guard import Guard
from weighbridge.ledger.memory import MemoryStore
from weighbridge.scale import Scale

ASKED = 64_000
LIMIT = 25 * 10**9
OUTPUT_NANO = 15_000
PRICES = {"input_cost_per_token": 3e-6, "output_cost_per_token": 15e-6}
ROW = {"max_input_tokens": 200_000, "max_output_tokens": ASKED, **PRICES}
AGENTS = 60
USUAL = 1_500
CHUNK = 40


class Words:
    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class Agent:
    """A call under way: what it will write, and how much of it has gone by."""

    coverage: Coverage
    output: int
    seen: int = 0


class Budget:
    """One budget, and agents that stream under it, a chunk each in turn."""

    def __init__(self, **terms: str) -> None:
        clock = Clock()
        self.store = MemoryStore(clock)
        self.guard = Guard(
            Desk(Scale(Catalogue({"m": ROW}), lambda name: Words(), lambda call: "here"), clock), self.store
        )
        policies = [{"name": "agents", "limit": {"usd": 25}, "window": "month", **terms}]
        self.store.run(Put("policies", shelf.write(*parse.policies({"policies": policies}))))

    @property
    def state(self) -> State:
        return next(state for _, state in self.store.run(Counters("agents")))

    def open(self, output: int, **body: Any) -> Agent:
        return Agent(Coverage(self.guard.open(raw(stream=True, max_tokens=ASKED, **body))), output)

    def taught(self) -> Budget:
        """After enough calls of the usual length."""
        for _ in range(20):
            list(self.run([self.open(USUAL)]))
        return self

    def run(self, agents: list[Agent]) -> Iterator[Agent]:
        """Let all of them write to their end, and give those that were cut."""
        while agents:
            for agent in list(agents):
                if self._step(agent):
                    assert self.state.spent + self.state.held <= LIMIT
                    continue
                agents.remove(agent)
                if agent.seen < agent.output:
                    yield agent

    def _step(self, agent: Agent) -> bool:
        """One chunk.  False: it was the last."""
        coverage = agent.coverage
        agent.seen = min(agent.output, agent.seen + CHUNK)
        if agent.seen == agent.output:
            self.guard.close(coverage.ticket, Reported(Usage(input=9, output=agent.output)))
            return False
        more = coverage.due(agent.seen)
        if more is not None:
            coverage.answered(self.guard.extend(more))
        if coverage.spent(agent.seen):
            self.guard.close(coverage.ticket, CutOff("exhausted", None, 0, agent.seen))
            return False
        return True


def test_the_worst_case_refuses_while_the_money_is_there() -> None:
    budget = Budget().taught()
    with pytest.raises(Refused):
        for _ in range(AGENTS):
            budget.open(USUAL)
    assert budget.state.spent < LIMIT // 25
    assert len(budget.store.run(Entries())) == 20


def test_what_is_observed_admits_them_all_and_spends_no_more_than_there_is() -> None:
    budget = Budget(hold="observed", on_exhausted="cut").taught()
    at_once = [budget.open(USUAL) for _ in range(AGENTS)]
    assert all(agent.coverage.ticket.units == ASKED > agent.coverage.ticket.covered for agent in at_once)
    assert list(budget.run(at_once)) == []
    assert budget.state == State(80 * (USUAL * OUTPUT_NANO + 9 * 3_000), 0)


def test_streams_that_outgrow_the_budget_are_cut_before_they_overspend() -> None:
    budget = Budget(hold="observed", on_exhausted="cut").taught()
    cut = list(budget.run([budget.open(ASKED) for _ in range(AGENTS)]))
    assert cut
    spent, held = budget.state.spent, budget.state.held
    assert held == 0
    assert LIMIT * 9 // 10 < spent <= LIMIT
    assert sum(entry.overrun_nano_usd for entry in budget.store.run(Entries())) == 0


def test_streams_may_finish_instead_and_the_overrun_is_on_record() -> None:
    budget = Budget(hold="observed", on_exhausted="finish").taught()
    agents = [budget.open(ASKED) for _ in range(AGENTS)]
    while agents:
        agents = [agent for agent in agents if budget._step(agent)]
    over = budget.state.spent - LIMIT
    assert over > 0
    assert sum(entry.overrun_nano_usd for entry in budget.store.run(Entries())) >= over


def test_checking_foretells_what_is_observed() -> None:
    budget = Budget(hold="observed").taught()
    request = raw(stream=True, max_tokens=ASKED)
    foretold, ticket = budget.guard.check(request), budget.guard.open(request)
    assert foretold.covered == ticket.covered < ASKED
    assert foretold.states == ticket.states


def test_what_does_not_stream_is_held_for_whole() -> None:
    budget = Budget(hold="observed").taught()
    ticket = budget.guard.open(raw(max_tokens=ASKED))
    assert ticket.covered == ticket.units == ASKED
    assert ticket.holds[0].history == ""

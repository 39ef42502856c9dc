"""What counting is worth and costs: `python tests/bench/counting.py [TRAFFIC] [--agentscope PYTHON] [--quick]`.

Ours, LiteLLM's `token_counter` and AgentScope's `OpenAITokenCounter` in one run: recorded traffic against its
bills, a long chat counted again after one more turn, a prompt far beyond the window.  Peers get every request in
OpenAI's words, whatever format it was sent in, so that nothing of it is hidden from them.  AgentScope may live in
an environment of its own (`--agentscope PYTHON`).  TRAFFIC defaults to WEIGHBRIDGE_CORPUS.  Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from lengthy import Chat, alone, chat, errand, giants
from spoken import in_openai_words

from weighbridge import wiring
from weighbridge.adapters.cli.traffic import OPENERS
from weighbridge.core.accuracy import ALL, Accuracy, Score, table
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import openai_chat
from weighbridge.core.errors import Refused
from weighbridge.core.exchanges import read
from weighbridge.core.model import Call, Estimate, RawCall
from weighbridge.core.policy.model import Rules
from weighbridge.guard import AsyncGuard
from weighbridge.scale import Scale
from weighbridge.settings import load

HERE: Final = Path(__file__).parent
OURS: Final = "weighbridge"
TURNS: Final = 200
REPEATS: Final = 15
MEGABYTES: Final = 50
MODEL: Final = "gpt-4o"
TICK: Final = 0.001
PARSED: Final = RawCall("openai-chat", b"", provider="openai")


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer to a question."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def peer(name: str, python: str, vocabularies: Path) -> Iterator[Peer | None]:
    """A peer's process; None, with a word, where it is not installed."""
    environ = {**os.environ, "TIKTOKEN_CACHE_DIR": str(vocabularies), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = subprocess.Popen(
        [python, str(HERE / "peers.py"), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        absent = json.loads(process.stdout.readline() or '{"absent": "it did not start"}')["absent"]
        if absent:
            print(f"{name} is left out: {absent}\n")
        yield None if absent else Peer(name, process)
    finally:
        process.kill()
        process.wait()


def vocabularies() -> Path:
    """Where litellm keeps OpenAI's vocabularies, under the names tiktoken looks for."""
    spec = find_spec("litellm")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"


def against_bills(traffic: Path, scale: Scale, peers: Sequence[Peer]) -> Mapping[str, list[Score]]:
    """Everybody's estimates of the countable rows; a row a peer fails on is scored as nothing counted."""
    scores: dict[str, list[Score]] = {name: [] for name in (OURS, *(p.name for p in peers))}
    failed: dict[str, Counter[str]] = {one.name: Counter() for one in peers}
    with OPENERS[traffic.suffix](traffic) if traffic.suffix in OPENERS else traffic.open("rb") as lines:
        for line in lines:
            exchange = read(json.loads(line))
            weighed = scale.count(exchange.raw, Rules())
            call = weighed.call
            if exchange.left_out(call):
                continue
            group = weighed.model.family if call.generates else "embeddings"
            kind = exchange.kind(call)
            scores[OURS].append(Score(group, kind, weighed.estimate, exchange.billed))
            question = in_openai_words(call)
            for one in peers:
                answer = one.ask(**question)
                tokens = answer["tokens"]
                failed[one.name][answer["error"].partition(":")[0]] += bool(answer["error"])
                scores[one.name].append(Score(group, kind, Estimate(tokens, tokens, one.name), exchange.billed))
    for name, errors in failed.items():
        print(f"{name} fails on {sum(errors.values())} of {len(scores[OURS])} rows: {dict(+errors)}.\n")
    return scores


def show_bills(scores: Mapping[str, list[Score]]) -> None:
    """A line a kind of content, everybody's figures side by side."""
    tables = {name: table(found) for name, found in scores.items()}
    print("Exact / median error / P95 error / sum of estimates over sum of bills:\n")
    print("| rows | " + " | ".join(tables) + " |")
    print("|---" * (len(tables) + 1) + "|")
    for key, line in tables[OURS].items():
        cells = " | ".join(_figures(tables[name][key]) for name in tables)
        print(f"| {key[0]} {key[1]} ({line.n}) | {cells} |")
    ours = tables[OURS][ALL, ALL]
    print(f"\nweighbridge's bound covers {ours.coverage:.1%}; bounds over bills {ours.upper:.2f}.\n")


def _figures(line: Accuracy) -> str:
    return f"{line.exact:.0%} / {line.median:.1%} / {line.p95:.0%} / {line.sum:.2f}"


CHATS: Final[Mapping[str, Chat]] = {
    "messages of 0.3 kB": chat(TURNS + REPEATS + 1, 60),
    "messages of 1.5 kB": chat(TURNS + REPEATS + 1, 300),
    "tool calls and results of 1.5 kB": errand(TURNS + REPEATS + 1, 300),
}


def long_chats(scale: Scale, peers: Sequence[Peer]) -> None:
    """Chats counted, and counted again after each of a few more turns: seconds of those again."""
    print(f"A chat of {TURNS} turns ({TURNS * 2} messages), counted again after one more turn:")
    print(f"median of {REPEATS} (least to most) ms, and how many times each of ours the peers take:\n")
    print("| counter | " + " | ".join(CHATS) + " |\n|---" + "|---" * len(CHATS) + "|")
    ours: dict[str, Callable[[Chat], float]] = {
        f"{OURS}, from a call already read": lambda messages: _counted(scale, messages),
        f"{OURS}, from messages as objects": lambda messages: _read(scale, messages),
        f"{OURS}, from bytes": lambda messages: _weighed(scale, messages),
    }
    known = {name: [_again(count, messages) for messages in CHATS.values()] for name, count in ours.items()}
    for name, found in known.items():
        print(f"| {name} | " + " | ".join(map(_spread, found)) + " |")
    for other in peers:
        cells = []
        for at, messages in enumerate(CHATS.values()):
            taken = _again(lambda found, other=other: other.ask(model=MODEL, messages=found)["seconds"], messages)  # type: ignore[misc]
            times = ", ".join(f"{median(taken) / median(found[at]):.0f}" for found in known.values())
            cells.append(f"{_spread(taken)}: {times} x")
        print(f"| {other.name} | " + " | ".join(cells) + " |")
    print("\nMessages as objects are those counted before and two more, as in a program that holds its chat.\n")


def _again(count: Callable[[Chat], float], messages: Chat) -> list[float]:
    count(messages[: 2 * TURNS])
    return [count(messages[: 2 * (TURNS + n)]) for n in range(1, REPEATS + 1)]


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds) * 1000:.2f} ({min(seconds) * 1000:.2f} to {max(seconds) * 1000:.2f})"


def _sent(messages: Chat) -> RawCall:
    return RawCall("openai-chat", json.dumps({"model": MODEL, "messages": messages}).encode(), provider="openai")


def _counted(scale: Scale, messages: Chat) -> float:
    call = openai_chat.read({"model": MODEL, "messages": messages}, PARSED)
    begun = perf_counter()
    _estimate(scale, call)
    return perf_counter() - begun


def _read(scale: Scale, messages: Chat) -> float:
    begun = perf_counter()
    _estimate(scale, openai_chat.read({"model": MODEL, "messages": messages}, PARSED))
    return perf_counter() - begun


def _estimate(scale: Scale, call: Call) -> Estimate:
    model = scale.catalogue.model(call.model, "openai")
    return estimate(call, model, scale.tokenizer(model.tokenizer), reader=scale.reader)


def _weighed(scale: Scale, messages: Chat) -> float:
    raw = _sent(messages)
    begun = perf_counter()
    scale.count(raw, Rules())
    return perf_counter() - begun


async def oversize(guard: AsyncGuard, messages: Chat) -> tuple[float, float, str]:
    """(seconds to the refusal, longest stall of the event loop, the refusal's reason) of one huge prompt."""
    raw = _sent(messages)
    stalls = [0.0]
    ticking = asyncio.ensure_future(_ticks(stalls))
    await asyncio.sleep(0.02)
    stalls[:] = [0.0]
    begun = perf_counter()
    try:
        await guard.open(raw)
        reason = "let through"
    except Refused as error:
        reason = error.reason
    taken = perf_counter() - begun
    await asyncio.sleep(2 * TICK)
    ticking.cancel()
    return taken, max(stalls), reason


async def _ticks(stalls: list[float]) -> None:
    """How late each tick of the loop comes."""
    while True:
        begun = perf_counter()
        await asyncio.sleep(TICK)
        stalls.append(perf_counter() - begun - TICK)


async def _refusals() -> list[tuple[str, tuple[float, float, str]]]:
    guard = await wiring.async_guard(load(store="memory://"))
    wiring.warm()
    await oversize(guard, alone("warm"))
    # As the gateway does when it has started.
    gc.collect()
    gc.freeze()
    found = [(name, await oversize(guard, messages)) for name, messages in giants(MEGABYTES * 1_000_000)]
    await guard.store.close()
    return found


def huge_prompts(peers: Sequence[Peer]) -> None:
    """A prompt of many megabytes: how soon it is refused, and how long the loop stands still meanwhile."""
    print(f"A prompt of {MEGABYTES} MB, to its refusal:\n")
    print("| counter, text | time | longest stall of the event loop | answer |\n|---|---|---|---|")
    for name, (taken, stall, reason) in asyncio.run(_refusals()):
        print(f"| {OURS}, {name} | {taken * 1000:.0f} ms | {stall * 1000:.1f} ms | {reason} |", flush=True)
    for one in peers:
        answer = one.ask(model=MODEL, characters=MEGABYTES * 1_000_000)
        said = answer["error"] or f"{answer['tokens']:,} tokens"
        print(f"| {one.name}, words | {answer['seconds'] * 1000:.0f} ms | as long | {said} |", flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    place = os.environ.get("WEIGHBRIDGE_CORPUS") or HERE.parents[2] / "shared" / "corpus"
    options.add_argument("traffic", nargs="?", type=Path, default=Path(place) / "traffic.jsonl.xz")
    options.add_argument("--agentscope", metavar="PYTHON", default=sys.executable)
    options.add_argument("--quick", action="store_true", help="no traffic, no peers on the huge prompt")
    given = options.parse_args()
    scale = replace(wiring.scale(load(store="memory://")), provider_of=lambda call: "")
    with ExitStack() as stack:
        wanted = (("litellm", sys.executable), ("agentscope", given.agentscope))
        found = [stack.enter_context(peer(name, python, vocabularies())) for name, python in wanted]
        peers = [one for one in found if one is not None]
        if not given.quick and given.traffic.is_file():
            show_bills(against_bills(given.traffic, scale, peers))
        elif not given.quick:
            print(f"No traffic at {given.traffic}: set WEIGHBRIDGE_CORPUS.\n")
        long_chats(scale, peers)
        huge_prompts([] if given.quick else peers)


if __name__ == "__main__":
    main()

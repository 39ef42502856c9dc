"""What the demo's traffic came to, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.text import Text

from weighbridge.adapters.cli import show
from weighbridge.adapters.cli.watching import watching
from weighbridge.adapters.demo import Sent
from weighbridge.core.ledger import Entry

OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {"admit": ("admitted", "green"), "clamp": ("clamped", "yellow")}
FAILED: Final = ("failed", "bold red")
"""Neither settled nor refused: something does not work."""
Settled = Mapping[int, Entry]


@contextmanager
def progress(total: int) -> Iterator[Callable[[Sent], Sent]]:
    """A bar on a terminal, nothing elsewhere."""
    out = show.console()
    columns = (
        TextColumn("sending"),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("{task.description}", style="dim"),
    )
    with watching(*columns, out=out, watched=out.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def advance(sent: Sent) -> Sent:
            bar.update(task, advance=1, description=f"{sent.call.team}, {sent.call.sdk}")
            return sent

        yield advance


def tell(sent: Sequence[Sent], settled: Settled) -> None:
    """All of it: the requests, why some were refused, estimates and holds against what became of them."""
    heading("Requests, sent by the official SDKs")
    show.table((">#", "team", "sdk", "call", "model", "outcome"), [_request(one, settled) for one in sent])
    heading("Why some did not pass, as the SDKs raised it")
    show.table((">", ""), _refusals(sent))
    heading("Prompt tokens: estimate against actual; money: held against spent")
    show.line("The actual figures are the stand-in's: they show how it works, not how accurate estimates are.", "dim")
    columns = (">#", "model", ">estimate", ">at most", ">actual", ">off", ">held", ">spent", ">given back")
    show.table(columns, [_weights(number, settled[number]) for number in sorted(settled)])
    show.line()
    show.line(_summary(sent, settled), "bold")


def failures(sent: Sequence[Sent], settled: Settled) -> int:
    """How many calls neither passed nor were refused by weighbridge."""
    return sum(_outcome(one, settled) == FAILED for one in sent)


def heading(text: str) -> None:
    """A title, with air above and below."""
    show.line()
    show.line(text, "bold")
    show.line()


def invite(url: str, key: str) -> None:
    """What to try while it stays up."""
    heading("It stays up.  Try it with a key of the research team")
    body = '{"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]}'
    show.line(f"curl -i {url}/v1/chat/completions -H 'authorization: Bearer {key}' \\")
    show.line(f"  -H 'content-type: application/json' -d '{body}'")
    show.line()
    show.line("Ctrl-C stops everything and leaves nothing behind.", "dim")


def _refusals(sent: Sequence[Sent]) -> list[tuple[str, str]]:
    """Each answer once, with the numbers of the calls that got it."""
    numbers: dict[str, list[str]] = {}
    for one in sent:
        if one.error:
            numbers.setdefault(one.error, []).append(str(one.number))
    return [(", ".join(calls), error) for error, calls in numbers.items()]


def _request(one: Sent, settled: Settled) -> tuple[str | Text, ...]:
    word, style = _outcome(one, settled)
    why = f": {one.reason.replace('_', ' ')}" if one.reason else ""
    call = one.call
    return (str(one.number), call.team, call.sdk, call.what, call.model, Text(word + why, style=style))


def _outcome(one: Sent, settled: Settled) -> tuple[str, str]:
    """(word, style)."""
    if one.reason:
        return "refused", "red"
    if one.error or one.number not in settled:
        return FAILED
    decision = settled[one.number].decision
    return OUTCOMES.get(decision, (decision, ""))


def _weights(number: int, entry: Entry) -> tuple[str, ...]:
    off = f"{(entry.estimate - entry.input) / entry.input:+.1%}" if entry.input else "-"
    back = max(0, entry.held_nano_usd - entry.nano_usd)
    money = (show.dollars(nano) for nano in (entry.held_nano_usd, entry.nano_usd, back))
    tokens = (f"{n:,}" for n in (entry.estimate, entry.upper, entry.input))
    return (str(number), entry.model, *tokens, off, *money)


def _summary(sent: Sequence[Sent], settled: Settled) -> str:
    counts = Counter(_outcome(one, settled)[0] for one in sent)
    told = ", ".join(f"{n} {word}" for word, n in counts.items())
    held, spent = (sum(getattr(e, name) for e in settled.values()) for name in ("held_nano_usd", "nano_usd"))
    return (
        f"{len(sent)} requests: {told}.  "
        f"{show.dollars(held)} was held in all, {show.dollars(spent)} spent, and nothing is held any more."
    )

"""What the ledger is measured beside, asked through the ledger's own client.

A bare INCRBY; and token buckets in the shape of TensorZero's Valkey limiter.  The script here is
ours, written from a description of theirs (v2 of 2026: a hash {balance, last_refilled} a bucket,
server time, refilled by whole intervals, all buckets checked before any is written, an expiry
renewed with every write, the answer in JSON; `consume` borrows, `return` gives back).  Theirs is a
server function called by FCALL; ours is called by EVALSHA, which costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from weighbridge.core.ledger import Verb
from weighbridge.ledger import scripts, wire
from weighbridge.ledger.wire import Command

CONSUME = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local buckets, answers, enough = {}, {}, true
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  local wanted, capacity = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local refill, interval = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local kept = redis.call('HMGET', key, 'balance', 'last_refilled')
  local balance, last = tonumber(kept[1]) or capacity, math.min(tonumber(kept[2]) or now, now)
  local intervals = math.floor((now - last) / interval)
  balance, last = math.min(capacity, balance + intervals * refill), last + intervals * interval
  if balance < wanted then enough = false end
  buckets[i] = { key, balance, last, wanted, interval }
end
for i, bucket in ipairs(buckets) do
  local key, balance, last, wanted, interval = unpack(bucket)
  if enough then
    balance = balance - wanted
    redis.call('HSET', key, 'balance', string.format('%.0f', balance), 'last_refilled', string.format('%.0f', last))
    redis.call('EXPIRE', key, math.max(172800, math.ceil(2 * interval / 1000000)))
  end
  answers[i] = { key = key, success = enough, tickets_remaining = balance, tickets_consumed = enough and wanted or 0 }
end
return cjson.encode(answers)
"""
RETURN = CONSUME.replace("balance - wanted", "math.min(balance + wanted, tonumber(ARGV[(i - 1) * 4 + 2]))").replace(
    "if balance < wanted then enough = false end\n", ""
)
DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Increment(Verb[Any]):
    """INCRBY of a number."""


@dataclass(frozen=True, slots=True)
class Buckets(Verb[Any]):
    """Take from so many buckets, or give back to them."""

    count: int
    amount: int
    back: bool = False


def _increment(asked: Any, verb: Increment, root: str = wire.ROOT) -> Command:
    return Command("", ("bench:bare",), ("INCRBY", "bench:bare", 1))


def _buckets(asked: Any, verb: Buckets, root: str = wire.ROOT) -> Command:
    keys = tuple(f'bench:ratelimit:{{"resource":"cost","scope":["team-{n}"]}}' for n in range(verb.count))
    return Command("return" if verb.back else "consume", keys, (verb.amount, 10**15, 10**15, DAY) * verb.count)


def install() -> None:
    """Teach the ledger's client these verbs."""
    known: Any = scripts.SCRIPTS
    for name, source in (("consume", CONSUME), ("return", RETURN)):
        known[name] = scripts.Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())
    encoders: Any = wire.ENCODERS
    decoders: Any = wire.DECODERS
    encoders |= {Increment: _increment, Buckets: _buckets}
    decoders |= dict.fromkeys((Increment, Buckets), lambda verb, command, reply: reply)

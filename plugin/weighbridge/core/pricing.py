"""What a call cost, and what it can cost at most.  Integer nano-dollars, rounded up once."""

from __future__ import annotations

from dataclasses import dataclass

from weighbridge.core.model import Model, Price, Rates, Usage

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """Which of the dearer rates a call can meet.  Leaving one out lowers its hold."""

    cache_write: bool = True
    """Parts of the prompt may be written to a cache (some providers do so unasked)."""
    cache_write_1h: bool = True
    """... and kept there for an hour."""
    audio_input: bool = True
    audio_output: bool = True


ANYTHING = Exposure()


def tier(model: Model, name: str) -> Price | None:
    """The price of a service tier; the standard one for a tier the table does not know, and for the
    providers' words for it ("default", "auto", "standard").  None: the model is unpriced."""
    return model.prices.get(name) or model.prices.get("")


def cost(price: Price, usage: Usage) -> int:
    """Nano-dollars of a usage.

    Buckets are inclusive, and what does not fit into the total is left out: a usage that
    contradicts itself (more cached than input) costs its totals, and never less than nothing.
    Whatever was cached is billed as cached even where it is sound too.
    """
    rates = _step(price, max(usage.input, 0) + max(usage.tool_input, 0))
    prompt = _spread(
        usage.input,
        rates.input,
        (usage.cache_write_1h, rates.cache_write_1h),
        (usage.cache_write, rates.cache_write),
        (usage.cache_read, rates.cache_read),
        (usage.audio_input, rates.audio_input),
    )
    answer = _spread(
        usage.output,
        rates.output,
        (usage.reasoning, rates.reasoning),
        (usage.audio_output, rates.audio_output),
    )
    fetched = max(usage.tool_input, 0) * rates.input
    fees = price.per_request + max(usage.searches, 0) * price.per_search
    return fees + _ceil(prompt + answer + fetched, MILLION)


def worst_case(price: Price, prompt_tokens: int, exposure: Exposure = ANYTHING, searches: int = 0) -> tuple[int, int]:
    """What a call can cost at most: (nano-dollars of the prompt, thousandths of a nano-dollar for
    each output token).

    For every usage with input + tool_input <= prompt_tokens, without what `exposure` rules out, and with
    no more than so many searches of the web:
    `cost(price, usage) <= fixed + ceil(usage.output * per_output / 1000)`.
    """
    steps = [rates for above, rates in price.steps if above < prompt_tokens] or [price.steps[0][1]]
    dearest = max(_input_rate(rates, exposure) for rates in steps)
    output = max(_output_rate(rates, exposure) for rates in steps)
    fees = price.per_request + searches * price.per_search
    return fees + _ceil(max(prompt_tokens, 0) * dearest, MILLION), _ceil(output, 1000)


def _step(price: Price, prompt_tokens: int) -> Rates:
    """The rates of the last step passed; the first one's where none is (an empty prompt)."""
    found = price.steps[0][1]
    for above, rates in price.steps:
        if prompt_tokens > above:
            found = rates
    return found


def _spread(total: int, rate: int, *buckets: tuple[int, int]) -> int:
    """Sum of tokens x rate: each (tokens, rate) bucket out of the total, the rest at `rate`."""
    left, amount = max(total, 0), 0
    for tokens, bucket_rate in buckets:
        taken = min(max(tokens, 0), left)
        left -= taken
        amount += taken * bucket_rate
    return amount + left * rate


def _input_rate(rates: Rates, exposure: Exposure) -> int:
    return max(
        rates.input,
        rates.cache_read,
        rates.cache_write if exposure.cache_write else 0,
        rates.cache_write_1h if exposure.cache_write_1h else 0,
        rates.audio_input if exposure.audio_input else 0,
    )


def _output_rate(rates: Rates, exposure: Exposure) -> int:
    return max(rates.output, rates.reasoning, rates.audio_output if exposure.audio_output else 0)


def _ceil(amount: int, by: int) -> int:
    return -(-amount // by)

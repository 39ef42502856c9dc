"""Every way a call can end, and what it may give back of its hold.

The type of an ending says how much is known; `refund` says what follows from it; `WAYS` is the whole
table, which the tests walk through a gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from weighbridge.core.catalogue import bare
from weighbridge.core.model import Call, CutOff, Ending, NeverSent, Reported

Refund = Literal["everything", "unused", "unseen", "unheld", "nothing"]
REASONS: Mapping[Refund, str] = {
    "everything": "",
    "unused": "",
    "unseen": "",
    "unheld": "; reasoning may be hidden: charged as held",
    "nothing": "; it may have been written to its end",
}
"""What may be given back -> what the journal says of it behind the ending's own reason.

    everything   the provider billed nothing
    unused       what the provider did not report
    unseen       what did not go by: counted from the text, rather too much than too little
    unheld       only what is beyond the hold: a model that reasons unseen may have spent all of that
    nothing      the worst case: an answer that was to come whole, and of which nothing came, or one that is
                 written to its end in the background, whoever listens
"""


LEFT: Final = "the client left"


def interrupted(error: BaseException) -> str:
    """Why an answer broke off, where whoever passes it on failed."""
    return f"{type(error).__name__} while answering"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to end."""

    ending: type[Ending]
    refund: Refund
    journal: str
    """How the journal's `ending` begins; "" where there is no entry."""


WAYS: Mapping[str, Way] = {
    "answered": Way(Reported, "unused", "reported"),
    "answered with zero usage": Way(Reported, "unused", "reported"),
    "refused by the provider": Way(NeverSent, "everything", ""),
    "provider not reached": Way(NeverSent, "everything", ""),
    "connection closed before the first byte": Way(NeverSent, "everything", ""),
    "no answer in time, plain": Way(CutOff, "nothing", "cut off: no answer from the provider"),
    "no answer in time, stream": Way(CutOff, "unseen", "cut off: no answer from the provider"),
    "plain answer broken off": Way(CutOff, "nothing", "cut off: "),
    "stream broken off by the provider": Way(CutOff, "unseen", "cut off: the provider broke off"),
    "stream broken off behind its usage": Way(Reported, "unused", "reported"),
    "stream broken off, reasoning unseen": Way(CutOff, "unheld", "cut off: the provider broke off"),
    "error in mid stream": Way(CutOff, "unseen", "cut off: "),
    "client gone before the answer": Way(Reported, "unused", "reported"),
    "client gone, read on to the end": Way(Reported, "unused", "reported"),
    "client gone, counted": Way(CutOff, "unseen", "cut off: the client left"),
    "budget exhausted": Way(CutOff, "unseen", "cut off: the budget ran out"),
    "gateway shut down": Way(CutOff, "unseen", "cut off: "),
    "usage missing": Way(CutOff, "unseen", "cut off: no usage reported"),
    "usage partial": Way(CutOff, "unseen", "cut off: no final usage reported"),
}

SILENT = (
    ("openai", re.compile(r"^(o[134]|gpt-[56]|codex)(?!.*chat)")),
    ("other", re.compile(r"^grok-4")),
)
"""(family, models that reason without showing it, unless told not to)."""


def refund(call: Call, family: str, ending: Ending) -> Refund:
    """What a call that ended so may give back."""
    match ending:
        case NeverSent():
            return "everything"
        case Reported():
            return "unused"
    if call.extra.get("background") or (not call.stream and not ending.seen_bytes):
        return "nothing"
    return "unheld" if hides(call, family) and not _told(ending) else "unseen"


def hides(call: Call, family: str) -> bool:
    """Whether the model may have reasoned without a word of it in the answer."""
    if call.extra.get("reasoning_effort") == "none" or not call.generates:
        return False
    if call.extra.get("thinking", "disabled") != "disabled":
        return True
    return any(family == named and names.search(bare(call.model).lower()) for named, names in SILENT)


def _told(ending: CutOff) -> bool:
    """What was reported so far counts the reasoning."""
    return ending.partial is not None and ending.partial.reasoning > 0

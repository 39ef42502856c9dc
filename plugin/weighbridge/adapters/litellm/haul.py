"""One request on its way through LiteLLM, and the office that opens and settles it."""

from __future__ import annotations

import asyncio
import uuid
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

from weighbridge import wiring
from weighbridge.adapters.backstage import Backstage
from weighbridge.adapters.litellm.fleet import Deployed, Fleet, dearest, deployed, named, passed
from weighbridge.adapters.litellm.request import Asked, change, encoded
from weighbridge.core import reply
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import AS_SENT
from weighbridge.core.errors import Refused
from weighbridge.core.model import CutOff, Ending, NeverSent, Principal, RawCall, Reported, Usage
from weighbridge.core.outbound import Outbound
from weighbridge.core.pricing import tier
from weighbridge.guard import AsyncGuard
from weighbridge.settings import Settings, load, load_policies


class Haul:
    """A request between its hold and its settlement, known to every hook and to the wrapper."""

    def __init__(self, wrapped: bool, method: str = "", path: str = "") -> None:
        self.wrapped = wrapped
        """The wrapper sees the answer to its end and settles; else the hooks do."""
        self.method = method
        self.path = path
        """What the request says, where the wrapper saw it; else empty."""
        self.held: Ticket | None = None
        """As it was admitted; None until it is weighed."""
        self.out: Outbound | None = None
        """Its answer, where the wrapper sees it."""
        self.call_id = ""
        """LiteLLM's id of the request."""
        self.served: Deployed | None = None
        """Who was asked last: that is who answered."""
        self.usage: Usage | None = None
        """What the provider reported, where a hook was shown it."""
        self.cached = False
        """LiteLLM answered from its own cache."""
        self.streams = False
        """The answer goes by in a stream that a hook watches."""
        self.cut = ""
        """Why nobody knows what was used."""
        self.refusal: reply.Reply | None = None
        self.let_pass = False
        """Nothing is weighed: it runs no model, or may pass all the same."""
        self.ended = False

    @property
    def ticket(self) -> Ticket | None:
        """The hold as it stands; None until it is weighed."""
        return self.held if self.out is None else self.out.ticket

    @property
    def judged(self) -> bool:
        """Whether a hook has seen it before it was sent, and let it go."""
        return self.held is not None or self.let_pass

    def refuse(self, error: Refused, dialect: str) -> None:
        """Leave a refusal behind in the client's words."""
        self.refusal = reply.refused(error, DIALECTS[dialect], uuid.uuid4().hex)

    def ending(self, otherwise: Ending) -> Ending:
        """How it ended, by the best witness."""
        if self.cached:
            return NeverSent("answered from LiteLLM's cache")
        return otherwise if self.usage is None else Reported(self.usage)


CURRENT: Final[ContextVar[Haul | None]] = ContextVar("weighbridge_haul", default=None)


class Office:
    """The guard of one LiteLLM worker, and the requests it has under way."""

    def __init__(self) -> None:
        self.backstage = Backstage()
        self._fleet = Fleet()
        self._guard: AsyncGuard | None = None
        self._settings: Settings | None = None
        self._building = asyncio.Lock()
        self._under_way: WeakValueDictionary[str, Haul] = WeakValueDictionary()

    @property
    def settings(self) -> Settings:
        """The settings, read at the first use.  Raises ConfigError."""
        if self._settings is None:
            self._settings = load()
        return self._settings

    def check(self) -> None:
        """Read settings and policies, so that a mistake is told at the start.  Raises ConfigError."""
        if self.settings.policies is not None:
            load_policies(self.settings.policies)

    @property
    def opened(self) -> AsyncGuard | None:
        """The guard, where it is built already."""
        return self._guard

    async def guard(self) -> AsyncGuard:
        """The guard, built at the first use."""
        if self._guard is None:
            async with self._building:
                if self._guard is None:
                    self._guard = await wiring.async_guard(self.settings)
                    self.backstage.start(self._guard)
                    await asyncio.to_thread(wiring.warm)
        return self._guard

    async def open(self, haul: Haul, asked: Asked, who: Principal, team_id: str | None, data: Any) -> bytes | None:
        """Weigh and hold.  The changed body, where a decision changed it.  Raises Refused, and leaves
        the refusal in the client's words behind."""
        guard = await self.guard()
        guess = self._dearest(guard, asked, team_id, data)
        sent = encoded(asked, guess.model)
        raw = RawCall(
            asked.dialect, sent, who, guess.provider, guess.model if asked.named_by_path else None,
            asked.stream if asked.named_by_path else None, path=asked.path, headers=asked.headers,
        )  # fmt: skip
        try:
            ticket = await guard.open(raw)
        except Refused as error:
            haul.refuse(error, asked.dialect)
            raise
        haul.held, haul.served = ticket, guess
        if haul.wrapped:
            # By themselves the hooks may never hear of its end: then the lease is what ends the hold.
            self.backstage.watch(guard, ticket, lambda why: self.end(haul, CutOff(why)))
        if haul.call_id:
            self._under_way[haul.call_id] = haul
        return _changed(asked, sent, ticket)

    def _dearest(self, guard: AsyncGuard, asked: Asked, team_id: str | None, data: Any) -> Deployed:
        if asked.passes:
            return passed(asked.model, asked.path, asked.dialect)
        candidates = self._fleet.behind(asked.model, team_id, named(data.get("fallbacks")))
        return candidates[0] if len(candidates) == 1 else dearest(candidates, guard.desk.catalogue, asked.body)

    def find(self, call_id: Any) -> Haul | None:
        """The request a hook is called for."""
        here = CURRENT.get()
        if here is not None and (not call_id or not here.call_id or here.call_id == call_id):
            return here
        return self._under_way.get(call_id) if isinstance(call_id, str) else None

    def end(self, haul: Haul, ending: Ending) -> None:
        """Settle, once."""
        if haul.ended or haul.ticket is None or self._guard is None:
            return
        haul.ended = True
        self._under_way.pop(haul.call_id, None)
        self.backstage.close(self._guard, self._priced(haul, haul.ticket, self._guard), haul.ending(ending))

    def _priced(self, haul: Haul, ticket: Ticket, guard: AsyncGuard) -> Ticket:
        """The ticket as of the deployment that answered, which a fallback or the router chose."""
        served, weighed = haul.served, ticket.weighed
        if served is None or (served.provider, served.model) == (weighed.provider, weighed.call.model):
            return ticket
        model = guard.desk.catalogue.model(served.model, served.provider)
        call = replace(weighed.call, model=served.model)
        weighed = replace(weighed, model=model, call=call, provider=served.provider)
        return replace(ticket, weighed=weighed, price=tier(model, call.tier) or ticket.price)

    async def close(self) -> None:
        """The worker ends."""
        await self.backstage.drain()
        if self._guard is not None:
            await self._guard.shut()


def served_by(kwargs: Any) -> Deployed | None:
    """Who is asked, by what LiteLLM is about to send."""
    model = kwargs.get("model")
    if not isinstance(model, str):
        return None
    found = deployed(model, kwargs.get("custom_llm_provider"), kwargs.get("api_base"))
    base = (kwargs.get("model_info") or {}).get("base_model")
    return Deployed(found.provider, base.rpartition("/")[2]) if isinstance(base, str) else found


def _changed(asked: Asked, sent: bytes, ticket: Ticket) -> bytes | None:
    """The body to send instead.  LiteLLM asks for the usage of chats itself."""
    amendment = ticket.amendment
    if asked.dialect == "openai-chat" and not asked.passes:
        amendment = replace(amendment, ask_usage=False)
    body = ticket.weighed.body
    changed = body if amendment == AS_SENT else change(asked, body, ticket.call, amendment)
    return None if changed == sent else changed

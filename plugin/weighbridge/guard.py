"""The only place where the core meets the world: open a call, close it, once with `await` and once without.

    ticket = guard.open(raw)        count, decide, hold; raises Refused
    guard.close(ticket, ending)     give back, charge, write the journal; never refused

When the store does not answer, policies decide (`on_store_error`): see `outage.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, TypeVar

from weighbridge.core.admission import Ticket, Weighed
from weighbridge.core.errors import WeighbridgeError
from weighbridge.core.flow import Flow, Heavy, Pause, Post, Step
from weighbridge.core.ledger import Ended, Extend, Granted, Reserve, Settle, Settled, Short, Verb
from weighbridge.core.model import CutOff, Ending, RawCall
from weighbridge.counters.transport import AsyncWire, Wire
from weighbridge.desk import Desk
from weighbridge.holding import AsyncHold, Hold
from weighbridge.keeping import AsyncKeeper, Keeper
from weighbridge.ledger import AsyncStore, Store

T = TypeVar("T")
log = logging.getLogger("weighbridge")


class Guard:
    """The guard for programs without an event loop."""

    def __init__(self, desk: Desk, store: Store) -> None:
        self.desk = desk
        self.store = store
        self._wire = Wire()
        self.keeper = Keeper(self.renew, desk.lease_ms)
        """Of the leases of open calls."""

    def open(self, raw: RawCall) -> Ticket:
        """Weigh, decide and hold.  Raises Refused."""
        return self._drive(self.desk.opening(raw))

    def close(self, ticket: Ticket, ending: Ending) -> Settled:
        """Settle.  Raises StoreError where the store would not take it after several attempts."""
        return self._drive(self.desk.closing(ticket, ending))

    def hold(self, raw: RawCall) -> Hold:
        """`with guard.hold(raw) as ticket:` holds, and settles what `ticket.report(usage)` was told."""
        return Hold(self, raw, self.keeper)

    def check(self, raw: RawCall) -> Ticket:
        """The ticket `open` would give, holding nothing.  Raises Refused."""
        return self._drive(self.desk.checking(raw))

    def weigh(self, raw: RawCall) -> Weighed:
        """Count only.  Raises Refused for a body that cannot be read."""
        return self._drive(self.desk.weighing(raw))

    def renew(self, ticket: Ticket) -> bool:
        """Lengthen a running call's lease.  False: its hold is no longer open."""
        return self._drive(self.desk.renewing(ticket))

    def extend(self, more: Extend) -> Granted | Short | Ended | None:
        """Hold for more of a running stream (see `core.outbound`).  None: the store did not answer."""
        return self._drive(self.desk.extending(more))

    def ask(self, verb: Verb[T]) -> T:
        """Any verb's answer; at once StoreUnavailable where the store did not answer a moment ago."""
        return self._drive(self.desk.asking(verb))

    def note(self, ticket: Ticket, ending: CutOff) -> None:
        """Write down how a running call is to be charged should this process die (`settlement.Wake`)."""
        self.desk.noting(ticket, ending)

    def repay(self) -> int:
        """Settle some of what is owed, or was left by a process that is gone; how many were."""
        return self._drive(self.desk.repaying())

    def shut(self) -> None:
        """Close the connections to the store and to providers, and let go of the spool."""
        self._drive(self.desk.parting())
        self._wire.close()
        self.store.close()
        self.desk.shut()

    def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._do(step)
                except WeighbridgeError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _do(self, step: Step) -> Any:
        match step:
            case Pause(seconds):
                return time.sleep(seconds)
            case Heavy(work):
                return work()
            case Post():
                return self._wire.send(step)
            case verb:
                return self.store.run(verb)


class AsyncGuard:
    """The guard for event loops."""

    def __init__(self, desk: Desk, store: AsyncStore) -> None:
        self.desk = desk
        self.store = store
        self._wire = AsyncWire()
        self.keeper = AsyncKeeper(self.renew, desk.lease_ms)
        """Of the leases of open calls."""
        self._releases: set[asyncio.Task[Settled]] = set()

    async def open(self, raw: RawCall) -> Ticket:
        """Weigh, decide and hold.  Raises Refused."""
        return await self._drive(self.desk.opening(raw))

    async def close(self, ticket: Ticket, ending: Ending) -> Settled:
        """Settle.  Raises StoreError where the store would not take it after several attempts."""
        return await self._drive(self.desk.closing(ticket, ending))

    def hold(self, raw: RawCall) -> AsyncHold:
        """`async with guard.hold(raw) as ticket:` holds, and settles what `ticket.report(usage)` was told."""
        return AsyncHold(self, raw, self.keeper)

    async def check(self, raw: RawCall) -> Ticket:
        """The ticket `open` would give, holding nothing.  Raises Refused."""
        return await self._drive(self.desk.checking(raw))

    async def weigh(self, raw: RawCall) -> Weighed:
        """Count only.  Raises Refused for a body that cannot be read."""
        return await self._drive(self.desk.weighing(raw))

    async def renew(self, ticket: Ticket) -> bool:
        """Lengthen a running call's lease.  False: its hold is no longer open."""
        return await self._drive(self.desk.renewing(ticket))

    async def extend(self, more: Extend) -> Granted | Short | Ended | None:
        """Hold for more of a running stream (see `core.outbound`).  None: the store did not answer."""
        return await self._drive(self.desk.extending(more))

    async def ask(self, verb: Verb[T]) -> T:
        """Any verb's answer; at once StoreUnavailable where the store did not answer a moment ago."""
        return await self._drive(self.desk.asking(verb))

    def note(self, ticket: Ticket, ending: CutOff) -> None:
        """Write down how a running call is to be charged should this process die (`settlement.Wake`)."""
        self.desk.noting(ticket, ending)

    async def repay(self) -> int:
        """Settle some of what is owed, or was left by a process that is gone; how many were."""
        return await self._drive(self.desk.repaying())

    async def shut(self) -> None:
        """Close the connections to the store and to providers, and let go of the spool."""
        await self._drive(self.desk.parting())
        await self._wire.close()
        await self.store.close()
        self.desk.shut()

    async def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._do(step)
                except asyncio.CancelledError:
                    self._abandon(step)
                    flow.close()
                    raise
                except WeighbridgeError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _abandon(self, step: Step) -> None:
        """The caller left while its hold was under way: nobody will close it, so release it now."""
        if isinstance(step, Reserve):
            release = asyncio.ensure_future(self.store.run(Settle(step.id)))
            self._releases.add(release)
            release.add_done_callback(self._released)

    def _released(self, release: asyncio.Task[Settled]) -> None:
        self._releases.discard(release)
        if not release.cancelled() and release.exception() is not None:
            # The store did not hear of it: the hold's lease ends by itself.
            log.warning("a hold was left to its lease: %s", release.exception())

    async def _do(self, step: Step) -> Any:
        match step:
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Heavy(work):
                return await asyncio.to_thread(work)
            case Post():
                return await self._wire.send(step)
            case verb:
                return await self.store.run(verb)

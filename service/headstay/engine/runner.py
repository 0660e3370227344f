"""The shell of the link: performs the machine's effects, owns its sockets, tasks and one timer.

Decides nothing. Whatever happens becomes an input; inputs are handled one after another, never inside one another; what
comes out is carried out in order. Steps of an attempt, reading, writing and each subconnection are tasks of their own.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import msgspec

from headstay.engine import inputs
from headstay.engine.actions import Action
from headstay.engine.channels import Channels
from headstay.engine.effects import (
    AskToUnbind,
    Authenticate,
    ClearTraffic,
    CloseSubconnection,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Handshake,
    OpenSubconnection,
    Probe,
    Register,
    Resolve,
    SendMessage,
    SendPing,
    Step,
    TuneSubconnections,
    UnbindEnded,
    WakeServices,
)
from headstay.engine.events import Event
from headstay.engine.examination import examine
from headstay.engine.failures import classify
from headstay.engine.inputs import Input, UnbindFailure, UnbindOutcome
from headstay.engine.instant import Instant, read_clock
from headstay.engine.log import log, log_event
from headstay.engine.machine import Machine
from headstay.engine.main_connection import MainConnection
from headstay.engine.picture import Interrupted
from headstay.engine.probe import ask
from headstay.engine.reports import ReportStore
from headstay.engine.settings import Identity, Server, Settings
from headstay.engine.status import Status
from headstay.engine.steps import Attempt
from headstay.engine.subconnection import ServiceContext
from headstay.engine.tls import TlsContexts
from headstay.engine.unbind_request import Asking
from headstay.engine.verdicts import Verdict
from headstay.engine.websocket import CLOSE_WITHIN, close
from headstay.wire.text import legible

LONGEST_SLEEP = 30.0
"""Seconds after which the timer looks at the clock again: the loop's own clock stands still while the device sleeps.
It matters where `timerfd` does not tell when the device wakes."""


class Engine:
    """The link. Create it, run `run()` as a task, tell it what to do, `stop()` it.

    `observe` is called with each event and when it happened, in seconds since the epoch; it must not wait. `store`
    keeps the reports for the next process; `interrupted` is what the last one left. All methods belong to the loop's
    thread.
    """

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        *,
        observe: Callable[[Event, float], None],
        store: ReportStore | None = None,
        interrupted: Interrupted | None = None,
        jitter: random.Random | None = None,
        clock: Callable[[], Instant] = read_clock,
    ) -> None:
        self._identity = identity
        self._observe = observe
        self._clock = clock
        jitter = jitter or random.Random()  # noqa: S311 -- spreads load, guards nothing
        self._machine = Machine(identity, settings, jitter, store, interrupted)
        self._contexts = TlsContexts(clock)
        self._channels = Channels(ServiceContext(self._machine.reports), self._contexts, self._tell, clock)

        self._inbox: deque[Input] = deque()
        self._running = False
        self._handling = False
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

        self._attempt: Attempt | None = None
        self._main: MainConnection | None = None  # that of the attempt, once it stands
        self._of_attempt: set[asyncio.Task[None]] = set()  # a step, or the main connection's reader and writer
        self._closing: set[asyncio.Task[None]] = set()  # what still closes the last main connection, or an attempt
        self._unbindings: dict[int, asyncio.Future[UnbindOutcome]] = {}  # by the number of their request
        self._askings: dict[int, Asking] = {}  # those that go by HTTPS
        self._beside: set[asyncio.Task[None]] = set()  # what servers are asked whatever becomes of the attempt
        self._requests = 0

    # what the daemon calls ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link as its settings say until `stop()`. Raises only if the machine itself is broken.

        Cancelling drops the connection without ceremony.
        """
        self._running = True
        self._inbox.appendleft(inputs.Started())
        self._handle_all()
        try:
            await self._ended.wait()
        finally:
            self._running = False
            if self._timer is not None:
                self._timer.cancel()
            await self._let_go_of_everything()
        if self._failure is not None:
            raise self._failure

    def apply(self, actions: Iterable[Action]) -> None:
        """Apply one commit's actions as one. Never waits, cannot fail; takes effect after what was told before."""
        self._tell(inputs.Configured(tuple(actions)))

    def reconnect(self) -> None:
        """Connect anew, now, whatever was being waited for. Without server, or while disabled, nothing happens."""
        self._tell(inputs.ReconnectRequested())

    def link_changed(self) -> None:
        """A link, an address, a route or the clock of this device has changed: do what is due; if waiting, try soon.

        A long backoff is forgotten.
        """
        self._tell(inputs.LinkChanged())

    async def examine(self, server: Server) -> tuple[Verdict, ...]:
        """Test a server beside the link, with the settings that are in force now; see `examination`."""
        return await examine(server, self._machine.settings, self._identity, self._clock)

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers in force, in their order."""
        return self._machine.settings.servers

    @property
    def obstacle(self) -> str | None:
        """What keeps the link down however much it is wanted, and what to do about it."""
        return self._machine.settings.obstacle

    def clear_counters(self) -> None:
        """Set every counter of the status to zero. Times and reasons stay."""
        self._tell(inputs.CountersCleared())

    async def unbind(self, code: str) -> UnbindOutcome:
        """Have the cloud unbind this device by a verification code: over the main connection, else by HTTPS.

        Takes a minute at most. Cancelling it gives up a code that has not been sent yet; of one that has been, the
        answer is still heard, for some seconds in which no other can be given.
        """
        if not self._running:
            return UnbindOutcome(UnbindFailure.STOPPED)
        self._requests += 1
        outcome: asyncio.Future[UnbindOutcome] = asyncio.get_running_loop().create_future()
        self._unbindings[self._requests] = outcome
        request = self._requests
        self._tell(inputs.UnbindRequested(request, code))
        try:
            return await outcome
        except asyncio.CancelledError:
            if (asking := self._askings.get(request)) is not None:
                asking.give_up()
            raise

    def report(self, body: dict[str, object], time: float) -> None:
        """Bring one report to the cloud: `body` as JSON, of something that happened at `time` (since the epoch).

        Raises TypeError or ValueError if `body` cannot be written as JSON; it is copied, and may change afterwards.
        """
        self._tell(inputs.ReportMade(msgspec.json.decode(msgspec.json.encode(body)), time))

    def status(self) -> Status:
        """Return the link as it is now."""
        status = self._machine.status(self._clock())
        return replace(status, subconnections=self._channels.measured(status.subconnections))

    async def stop(self) -> None:
        """Close the connection properly, within CLOSE_WITHIN seconds, and end `run()`."""
        if self._running:
            self._tell(inputs.Stopped())
            self._running = False
        await self._let_go_of_everything()
        self._ended.set()

    # inputs, effects and the timer ------------------------------------------------------------------

    def _tell(self, given: Input) -> None:
        self._inbox.append(given)
        self._handle_all()

    def _handle_all(self) -> None:
        """Handle what has come. An input that comes out of an effect, an observer's report for instance, waits."""
        if self._handling or not self._running:
            return
        self._handling = True
        try:
            while self._inbox:
                now = self._clock()
                for effect in self._machine.handle(self._inbox.popleft(), now):
                    self._perform(effect, now)
        except Exception as error:  # noqa: BLE001 -- the supervisor: run() raises it, the caller of apply() is spared
            self._break(error)
        finally:
            self._handling = False
        self._arm_timer()

    def _break(self, error: BaseException) -> None:
        """End `run()` with an error: the machine or its shell is wrong, and going on would only hide it."""
        log.critical("the connection engine is broken", exc_info=error)
        self._failure = self._failure or error
        self._running = False
        self._ended.set()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._machine.deadline()
        if deadline is None or not self._running:
            return
        delay = min(max(0.0, deadline - self._clock().monotonic), LONGEST_SLEEP)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tell, inputs.Tick())

    def _perform(self, effect: Effect, now: Instant) -> None:
        match effect:
            case Resolve():
                self._attempt = Attempt(effect, self._identity, self._tell, self._contexts)
                self._begin_step(effect)
            case Connect() | Authenticate() | Register() | Handshake():
                self._begin_step(effect)
            case Probe():
                self._spawn(self._ask(effect), self._of_attempt)
            case AskToUnbind():
                self._spawn(self._unbind_beside(effect), self._beside)
            case UnbindEnded(request, outcome):
                self._end_unbinding(request, outcome)
            case Disconnect(reason=reason, graceful=graceful):
                self._disconnect(reason, graceful=graceful)
            case SendMessage(message):
                if self._main is not None:
                    self._main.send(message)
            case SendPing():
                if self._main is not None:
                    self._main.ping()
            case OpenSubconnection():
                self._channels.open(effect, self._machine.settings)
            case TuneSubconnections(limits):
                self._channels.tune(limits)
            case CloseSubconnection(instance):
                self._channels.close(instance)
            case WakeServices(service):
                self._channels.wake(service)
            case ClearTraffic():
                self._channels.clear_counters()
            case Emit(event):
                self._emit(event, now)

    def _emit(self, event: Event, now: Instant) -> None:
        log_event(event)
        try:
            self._observe(event, now.wall)
        except Exception:  # noqa: BLE001 -- the boundary to whoever observes
            log.exception("an observer of the connection failed")

    # an attempt -----------------------------------------------------------------------------------

    def _begin_step(self, step: Step) -> None:
        if self._attempt is not None:
            self._spawn(self._run_step(self._attempt, step), self._of_attempt)

    async def _run_step(self, attempt: Attempt, step: Step) -> None:
        if self._closing:
            # At most one main connection: the last one is gone before the next is dialled.
            await asyncio.wait(self._closing)
        try:
            outcome = await attempt.perform(step)
        except Exception as error:  # noqa: BLE001 -- the supervisor: one place classifies every failure
            failure = classify(error)
            log.debug("%s failed: %s", type(step).__name__.lower(), type(error).__name__)
            self._tell(inputs.Failed(attempt.number, failure))
            return
        main = None
        if attempt.main is not None:
            main = self._main = MainConnection(attempt.number, attempt.main, self._tell)
        self._tell(outcome)
        # Whoever was told that the connection stands may have ended it already.
        if main is not None and self._attempt is attempt:
            self._spawn(main.write(), self._of_attempt)
            self._spawn(main.read(), self._of_attempt)

    async def _ask(self, probe: Probe) -> None:
        self._tell(await ask(probe, self._identity, self._contexts))

    def _disconnect(self, reason: str, *, graceful: bool) -> None:
        attempt, self._attempt = self._attempt, None
        self._main = None
        # The task that runs right now may be one of them: it has told what it had to tell, and ends here.
        for task in list(self._of_attempt):
            self._cancel(task, self._closing)
        self._of_attempt.clear()
        self._channels.close_all()
        if attempt is not None:
            attempt.abort()
            if attempt.main is not None:
                self._spawn(close(attempt.main, legible(reason)[:100], graceful=graceful), self._closing)

    # unbinding ------------------------------------------------------------------------------------

    async def _unbind_beside(self, asked: AskToUnbind) -> None:
        asking = self._askings[asked.request] = Asking(asked, self._identity, self._contexts)
        try:
            concluded = await asking.run()
        finally:
            del self._askings[asked.request]
        self._tell(concluded)

    def _end_unbinding(self, request: int, outcome: UnbindOutcome) -> None:
        waiting = self._unbindings.pop(request, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    # tasks ----------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)
        task.add_done_callback(self._check)

    def _check(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)

    def _cancel(self, task: asyncio.Task[None], group: set[asyncio.Task[None]]) -> None:
        task.cancel()
        if not task.done():
            group.add(task)
            task.add_done_callback(group.discard)

    async def _let_go_of_everything(self) -> None:
        """Wait for what is closing, within CLOSE_WITHIN seconds, and drop the rest."""
        for request in list(self._unbindings):
            self._end_unbinding(request, UnbindOutcome(UnbindFailure.STOPPED))
        for task in list(self._beside):
            self._cancel(task, self._closing)
        if self._attempt is not None:
            self._disconnect("", graceful=False)
        closing = self._closing | self._channels.closing
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_WITHIN)
            for task in late:
                task.cancel()

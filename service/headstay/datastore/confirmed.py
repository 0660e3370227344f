"""CORE: the confirmed commit (RFC 6241 section 8.4): who may confirm, extend or cancel it, and when it is undone.

Owns the one confirmed commit that may be pending, and the form in which it is stored. Knows no clock, no disk and no
transaction: what it decides comes into force only when the transaction that it asks for has succeeded, so a commit that
fails leaves the roll-back exactly as it was.

What the RFC leaves open is settled here. While a confirmed commit is pending, a commit that may not confirm it is
refused, and so is every other write of running but those of the session that began it: what the device has acknowledged
is never undone by somebody else's timer. A persist id that belongs to no pending commit is wrong, too. A follow-up
without <persist> leaves the persist id as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.access import Requester
from headstay.datastore.events import ConfirmedCommit, ConfirmEvent
from headstay.errors import ErrorInfo, InUse, InvalidValue, LockDenied, MissingElement, NetconfError, OperationFailed

TIMEOUT: Final = 600
"""Seconds until a confirmed commit is undone, unless <confirm-timeout> says otherwise."""

BEFORE: Final = "before-confirmed-commit"
"""The name under which the configuration to go back to is stored, beside the datastores."""
FACT: Final = "confirmed-commit"
"""The fact that says when a stored confirmed commit runs out, and who may confirm it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A confirmed commit that nobody has confirmed yet."""

    before: etree._Element
    """The configuration before the first commit of the sequence; follow-ups leave it as it is."""
    due: float
    """When it is undone, on the clock of `now`."""
    persist: str | None = None
    """The digest of its persist id; None: it ends with its owner's session."""
    owner: Requester | None = None
    """Who issued the last commit of the sequence; None once that session has ended."""


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """The parameters of <commit> (section 8.4.5.1)."""

    confirmed: bool = False
    timeout: int = TIMEOUT
    """Seconds, 1 or more."""
    persist: str | None = field(default=None, repr=False)
    persist_id: str | None = field(default=None, repr=False)


# inputs


@dataclass(frozen=True, slots=True)
class Commit:
    """A <commit>; `running` is what it would replace."""

    requester: Requester
    request: CommitRequest
    running: etree._Element


@dataclass(frozen=True, slots=True)
class CancelCommit:
    """A <cancel-commit>."""

    requester: Requester
    persist_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session is over, however it ended."""

    session_id: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The time of `deadline` may have come."""


@dataclass(frozen=True, slots=True)
class Done:
    """The transaction that this effect asked for has succeeded."""

    effect: Install | RollBack


Input = Commit | CancelCommit | SessionEnded | Tick | Done


# effects


@dataclass(frozen=True, slots=True)
class Install:
    """Make the candidate running, and store in the same transaction what is pending then."""

    requester: Requester
    pending: Pending | None
    event: ConfirmedCommit | None


@dataclass(frozen=True, slots=True)
class RollBack:
    """Make this tree running again, and store in the same transaction that nothing is pending."""

    tree: etree._Element
    requester: Requester | None
    """Who asked for it; None: it has to be, whatever refuses."""
    event: ConfirmedCommit


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell of this event."""

    event: ConfirmedCommit


Effect = Install | RollBack | Tell


class Procedure:
    """The confirmed-commit procedure of one device. Whoever drives it gives it one input at a time."""

    def __init__(self, pending: Pending | None = None) -> None:
        """Go on with what `restored` has found."""
        self._pending = pending

    @property
    def pending(self) -> Pending | None:
        """What waits to be confirmed."""
        return self._pending

    def deadline(self) -> float | None:
        """Return when `Tick` is due, on the clock of `now`; None if nothing is pending."""
        return None if self._pending is None else self._pending.due

    def ends_with(self, session_id: int) -> bool:
        """Return whether the end of this session matters."""
        return self._owned_by(session_id)

    def free_for(self, requester: Requester) -> None:
        """Raise InUse unless this requester may write running directly."""
        if self._pending is not None and not self._owned_by(requester.session_id):
            raise _in_use(self._pending)

    def lockable_by(self, requester: Requester) -> None:
        """Raise LockDenied if running may not be locked: another's confirmed commit is pending (section 7.5)."""
        if self._pending is not None and not self._owned_by(requester.session_id):
            owner = self._pending.owner
            info = [ErrorInfo("session-id", str(owner.session_id if owner else 0))]
            raise LockDenied("running waits for the confirmation of a commit by another session", info=info)

    def followed_by(self, requester: Requester, request: CommitRequest) -> bool:
        """Return whether this commit would confirm what is pending, or extend its time."""
        try:
            self._may_follow_up(requester, request.persist_id)
        except NetconfError:
            return False
        return self._pending is not None

    def handle(self, input: Input, now: float) -> list[Effect]:
        """Take in one input at time `now` (seconds, a clock that also runs while the device sleeps).

        Returns what to do. Raises a NetconfError for a request that is refused; nothing has changed then.
        """
        match input:
            case Commit():
                return [self._commit(input, now)]
            case CancelCommit():
                return [self._cancel(input)]
            case SessionEnded(session_id):
                return self._end_session(session_id)
            case Tick():
                return self._run_out(now)
            case Done(effect):
                self._pending = effect.pending if isinstance(effect, Install) else None
                return [] if effect.event is None else [Tell(effect.event)]

    def _commit(self, commit: Commit, now: float) -> Install:
        request, requester, pending = commit.request, commit.requester, self._pending
        self._may_follow_up(requester, request.persist_id)
        if not request.confirmed:
            complete = ConfirmedCommit(requester, ConfirmEvent.COMPLETE)
            return Install(requester, None, None if pending is None else complete)
        persist = None if request.persist is None else digest(request.persist)
        due = now + request.timeout
        if pending is None:
            started = Pending(commit.running, due, persist, requester)
            return Install(requester, started, ConfirmedCommit(requester, ConfirmEvent.START, request.timeout))
        extended = Pending(pending.before, due, persist or pending.persist, requester)
        return Install(requester, extended, ConfirmedCommit(requester, ConfirmEvent.EXTEND, request.timeout))

    def _may_follow_up(self, requester: Requester, persist_id: str | None) -> None:
        """Raise a NetconfError unless this may follow what is pending (section 8.4.1)."""
        pending = self._pending
        if persist_id is not None:
            self._matches(persist_id)
        elif pending is not None and (pending.persist is not None or not self._owned_by(requester.session_id)):
            raise _in_use(pending)

    def _cancel(self, cancel: CancelCommit) -> RollBack:
        pending = self._pending
        if cancel.persist_id is not None:
            self._matches(cancel.persist_id)
        if pending is None:
            raise OperationFailed("there is no confirmed commit to cancel")
        if cancel.persist_id is None:
            if pending.persist is not None:
                info = [ErrorInfo("bad-element", "persist-id")]
                raise MissingElement("the confirmed commit is persistent: give its <persist-id>", info=info)
            if not self._owned_by(cancel.requester.session_id):
                raise OperationFailed("the confirmed commit belongs to another session, which alone may cancel it")
        event = ConfirmedCommit(cancel.requester, ConfirmEvent.CANCEL)
        return RollBack(pending.before, cancel.requester, event)

    def _end_session(self, session_id: int) -> list[Effect]:
        pending = self._pending
        if pending is None or not self._owned_by(session_id):
            return []
        if pending.persist is not None:
            self._pending = replace(pending, owner=None)
            return []
        return [RollBack(pending.before, None, ConfirmedCommit(pending.owner, ConfirmEvent.CANCEL))]

    def _run_out(self, now: float) -> list[Effect]:
        pending = self._pending
        if pending is None or now < pending.due:
            return []
        return [RollBack(pending.before, None, ConfirmedCommit(None, ConfirmEvent.TIMEOUT))]

    def _owned_by(self, session_id: int) -> bool:
        owner = None if self._pending is None else self._pending.owner
        return owner is not None and owner.session_id == session_id

    def _matches(self, persist_id: str) -> None:
        persist = None if self._pending is None else self._pending.persist
        if persist is None or not hmac.compare_digest(persist, digest(persist_id)):
            raise InvalidValue("<persist-id> is not that of a pending confirmed commit")


def _in_use(pending: Pending) -> NetconfError:
    if pending.persist is not None:
        return InUse("a confirmed commit is pending; a <commit> with its <persist-id> can follow it")
    owner = f"session {pending.owner.session_id}" if pending.owner else "another session"
    return InUse(f"a confirmed commit of {owner} is pending")


def digest(token: str) -> str:
    """Return the form in which a persist id is kept: whoever reads the disk cannot confirm with it."""
    return hashlib.sha256(token.encode()).hexdigest()


# the stored form

Record = tuple[dict[str, bytes | None], dict[str, str | None]]
"""Contents and facts of `Disk.save`."""


def record(pending: Pending | None) -> Record:
    """Return what to store. None: what was stored is removed."""
    if pending is None:
        return {BEFORE: None}, {FACT: None}
    return {BEFORE: xml.serialise(pending.before)}, {
        FACT: json.dumps({"due": float(pending.due), "persist": pending.persist})
    }


def restored(before: etree._Element, fact: str) -> Pending:
    """Return what `record` has stored. It has no owner: the sessions of back then are over.

    Raises ValueError if the fact is damaged.
    """
    match json.loads(fact):
        case {"due": float(due), "persist": str() | None as persist}:
            return Pending(before, due, persist)
    raise ValueError("not a confirmed commit")


def end_at_start(pending: Pending, now: float, *, new_boot: bool) -> ConfirmEvent | None:
    """Return how a stored confirmed commit has ended by the time of a start; None if it is still pending.

    It outlives the daemon with a persist id only, and never a reboot (section 8.4.1).
    """
    if new_boot or pending.persist is None:
        return ConfirmEvent.CANCEL
    return ConfirmEvent.TIMEOUT if now >= pending.due else None


def stored(facts: Mapping[str, str]) -> str | None:
    """Return the fact of a stored confirmed commit, if there is one."""
    return facts.get(FACT)

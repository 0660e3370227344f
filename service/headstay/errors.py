"""Every error that headstay raises on purpose, in one tree.

    HeadstayError
    ├── StartupError              the program cannot start; `cli` prints one line and exits non-zero
    ├── CommandError              a local command cannot do what it was asked; one line, non-zero exit
    ├── WireError                 a message of the cloud wire that breaks its rules (raised by `wire`)
    ├── RpcErrors                 several NetconfErrors found at once
    └── NetconfError              one <rpc-error>; the subclass fixes the error-tag (RFC 6241 appendix A)
        ├── InUse                 ├── InvalidValue          ├── TooBig
        ├── MissingAttribute      ├── BadAttribute          ├── UnknownAttribute
        ├── MissingElement        ├── BadElement            ├── UnknownElement
        ├── UnknownNamespace      ├── AccessDenied          ├── LockDenied
        ├── ResourceDenied        ├── RollbackFailed        ├── DataExists
        ├── DataMissing           ├── OperationNotSupported ├── OperationFailed
        └── MalformedMessage

Errors are raised where they are known and caught at one boundary: `netconf.session` for NetconfError, `cloud`'s HTTP
boundary for what the cloud refuses, `cli` for what a person at a shell reads. A message never contains a secret.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class HeadstayError(Exception):
    """The root of everything that headstay raises on purpose."""


class StartupError(HeadstayError):
    """The program cannot start. The message is one line that says what is wrong and what to do about it."""


class CommandError(HeadstayError):
    """A local command cannot do what it was asked. The message is one line that says what to do next."""


class WireError(HeadstayError):
    """A message of the cloud wire that breaks the wire's rules; the peer is told `protocol-error`."""


class ErrorType(enum.Enum):
    """The layer in which an error occurred (RFC 6241 section 4.3)."""

    TRANSPORT = "transport"
    RPC = "rpc"
    PROTOCOL = "protocol"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class ErrorPath:
    """An instance-identifier with the prefixes it uses, so that a reply can declare them (RFC 6241 section 4.3)."""

    text: str
    """The path, for instance `/hcm:cloud-management/hcm:server/hcm:port`."""
    prefixes: tuple[tuple[str, str], ...]
    """(prefix, namespace) pairs, each prefix of `text` once."""
    exact: bool = True
    """False: what is meant cannot be named in XPath 1.0; this is its nearest ancestor that can."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """One element of <error-info>, for instance (`bad-element`, `port`)."""

    name: str
    value: str
    namespace: str = "urn:ietf:params:xml:ns:netconf:base:1.0"


class NetconfError(HeadstayError):
    """One <rpc-error>. Raise a subclass: each carries its error-tag.

    `type` defaults to the subclass's usual layer; `app_tag` is the model's error-app-tag or RFC 7950 section 15's.
    """

    tag: ClassVar[str]
    usual_type: ClassVar[ErrorType] = ErrorType.APPLICATION

    def __init__(
        self,
        message: str,
        *,
        path: ErrorPath | None = None,
        app_tag: str | None = None,
        info: Iterable[ErrorInfo] = (),
        type: ErrorType | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.app_tag = app_tag
        self.info = tuple(info)
        self.type = type or self.usual_type


class RpcErrors(HeadstayError):
    """Several errors found at once; they stand in one <rpc-reply> in this order (RFC 6241 section 4.3)."""

    def __init__(self, errors: Iterable[NetconfError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.message for error in self.errors))


class InUse(NetconfError):
    """The request requires a resource that already is in use."""

    tag = "in-use"


class InvalidValue(NetconfError):
    """The request specifies an unacceptable value for one or more parameters."""

    tag = "invalid-value"


class TooBig(NetconfError):
    """The request or response is too large for the implementation to handle."""

    tag = "too-big"


class MissingAttribute(NetconfError):
    """An expected attribute is missing; info names `bad-attribute` and `bad-element`."""

    tag = "missing-attribute"


class BadAttribute(NetconfError):
    """An attribute value is not correct; info names `bad-attribute` and `bad-element`."""

    tag = "bad-attribute"


class UnknownAttribute(NetconfError):
    """An unexpected attribute is present; info names `bad-attribute` and `bad-element`."""

    tag = "unknown-attribute"


class MissingElement(NetconfError):
    """An expected element is missing; info names `bad-element`."""

    tag = "missing-element"
    usual_type = ErrorType.PROTOCOL


class BadElement(NetconfError):
    """An element value is not correct; info names `bad-element`."""

    tag = "bad-element"


class UnknownElement(NetconfError):
    """An unexpected element is present; info names `bad-element`."""

    tag = "unknown-element"


class UnknownNamespace(NetconfError):
    """An unexpected namespace is present; info names `bad-element` and `bad-namespace`."""

    tag = "unknown-namespace"


class AccessDenied(NetconfError):
    """Access to the requested protocol operation or data model is denied because authorization failed."""

    tag = "access-denied"
    usual_type = ErrorType.PROTOCOL


class LockDenied(NetconfError):
    """The lock is held by another entity; info names `session-id`, 0 when it is not a NETCONF session."""

    tag = "lock-denied"
    usual_type = ErrorType.PROTOCOL


class ResourceDenied(NetconfError):
    """The request could not be completed because of insufficient resources."""

    tag = "resource-denied"


class RollbackFailed(NetconfError):
    """A request to roll back some configuration change was not completed."""

    tag = "rollback-failed"


class DataExists(NetconfError):
    """The data to be created already exists."""

    tag = "data-exists"


class DataMissing(NetconfError):
    """The data to be deleted or referred to does not exist."""

    tag = "data-missing"


class OperationNotSupported(NetconfError):
    """The requested operation is not supported by this implementation."""

    tag = "operation-not-supported"
    usual_type = ErrorType.PROTOCOL


class OperationFailed(NetconfError):
    """The request failed for a reason that no other tag covers."""

    tag = "operation-failed"


class MalformedMessage(NetconfError):
    """A message could not be handled because it is not well formed (base:1.1 sessions; RFC 6241 appendix A)."""

    tag = "malformed-message"
    usual_type = ErrorType.RPC

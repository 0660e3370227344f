"""Notices that a link, an address or a route of this device has changed, by Linux's rtnetlink (RFC 3549).

Shell. Only what may bring a lost cloud back within reach counts: a link that goes up or down, an address that comes or
goes, a default route, or another route that no routing protocol has set. A router's routing table may change a thousand
times a second; that says nothing about the cloud.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator

from headstay.engine.log import log

SETTLE = 1.0
"""Seconds for which changes are gathered: a link that comes up brings addresses and routes with it."""

# linux/netlink.h and linux/rtnetlink.h; the socket module has no names for these.
_NLMSG_OVERRUN = 4
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR, _NEWROUTE, _DELROUTE = 16, 17, 20, 21, 24, 25
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE
_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_UP_OR_RUNNING = 0x1 | 0x40 | 0x10000  # IFF_UP, IFF_RUNNING, IFF_LOWER_UP
_MAIN_TABLE = 254
_NOT_BY_ROUTING = {2, 3, 4, 9, 16}  # RTPROT_KERNEL, _BOOT, _STATIC, _RA, _DHCP
_MOST_OCTETS = 65536


def concerns_us(data: bytes) -> bool:
    """Return whether one datagram of netlink tells of a change that counts. What is cut short does not."""
    return any(_counts(kind, body) for kind, body in _messages(data))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _counts(kind: int, body: bytes) -> bool:
    if kind == _NEWLINK and len(body) >= _IFINFO.size:
        *_, change = _IFINFO.unpack_from(body)
        return bool(change & _UP_OR_RUNNING)
    if kind in (_NEWROUTE, _DELROUTE) and len(body) >= _ROUTE.size:
        _, destination, _, _, table, protocol, *_ = _ROUTE.unpack_from(body)
        return table == _MAIN_TABLE and (destination == 0 or protocol in _NOT_BY_ROUTING)
    return kind in (_DELLINK, _NEWADDR, _DELADDR, _NLMSG_OVERRUN)


class LinkWatch:
    """Calls `changed` on the loop, once for all changes within SETTLE seconds. `close` ends it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._gathering: asyncio.TimerHandle | None = None
        self._socket = _listening()
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Watch no more."""
        if self._gathering is not None:
            self._gathering.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            counts = concerns_us(self._socket.recv(_MOST_OCTETS))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                log.warning("changes of links are noticed no more: %s", error.strerror)
                self.close()
                return
            counts = True  # more came than the socket holds: something among it may count
        if counts and self._gathering is None:
            self._gathering = self._loop.call_later(SETTLE, self._tell)

    def _tell(self) -> None:
        self._gathering = None
        self._changed()


def _listening() -> socket.socket | None:
    family, protocol = getattr(socket, "AF_NETLINK", None), getattr(socket, "NETLINK_ROUTE", None)
    if family is None or protocol is None:
        return None
    with contextlib.ExitStack() as opened:
        try:
            listening = opened.enter_context(socket.socket(family, socket.SOCK_RAW, protocol))
            listening.setblocking(False)
            listening.bind((0, _GROUPS))
        except OSError as error:
            log.info("changes of links are not noticed here: %s", error.strerror)
            return None
        opened.pop_all()
    return listening

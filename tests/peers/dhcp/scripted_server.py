"""A DHCP server that does what no good one does: leases of seconds, values of 300 octets, silence.

Run it in the server's namespace with a JSON file that says what to do, read anew for each message:
{"options": {"253": "hex"}, "lease": seconds, "renew": seconds, "rebind": seconds, "silent": bool}.
RFC 2131 as far as one client on one cable needs it. It prints the type of each message that it sends.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
from pathlib import Path

SERVER = ipaddress.IPv4Address("192.0.2.1").packed
CLIENT = ipaddress.IPv4Address("192.0.2.77").packed
MASK = ipaddress.IPv4Address("255.255.255.0").packed
COOKIE = b"\x63\x82\x53\x63"
TIMES = {51: "lease", 58: "renew", 59: "rebind"}
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5


def message_type(message: bytes) -> int | None:
    """Return option 53."""
    options = message[240:]
    while options and options[0] != 255:
        if options[0] == 0:
            options = options[1:]
        elif options[0] == 53:
            return options[2]
        else:
            options = options[2 + options[1] :]
    return None


def written(code: int, value: bytes) -> bytes:
    """Write an option down; a long one in parts (RFC 3396)."""
    parts = [value[start : start + 255] for start in range(0, len(value), 255)]
    return b"".join(bytes([code, len(part)]) + part for part in parts)


def answer(request: bytes, kind: int, script: dict[str, object]) -> bytes:
    """Return the answer to a request."""
    fixed = b"\x02" + request[1:4] + request[4:8] + request[8:12] + bytes(4) + CLIENT + SERVER + bytes(4)
    options = script["options"]
    assert isinstance(options, dict)
    given = b"".join(written(int(code), bytes.fromhex(value)) for code, value in options.items())
    times = b"".join(written(code, struct.pack("!I", script[name])) for code, name in TIMES.items())
    standard = written(53, bytes([kind])) + written(54, SERVER) + times
    return fixed + request[28:44] + bytes(192) + COOKIE + standard + written(1, MASK) + given + b"\xff"


def serve(interface: str, script: Path) -> None:
    """Serve until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.bind(("", 67))
        script.with_suffix(".ready").touch()
        while True:
            request = server.recv(4096)
            said = json.loads(script.read_text())
            kind = {DISCOVER: OFFER, REQUEST: ACK}.get(message_type(request) or 0)
            if kind is not None and not said["silent"]:
                # A client that renews listens at its address only (RFC 2131 section 4.1).
                held = request[12:16]
                where = str(ipaddress.IPv4Address(held)) if any(held) else "255.255.255.255"
                server.sendto(answer(request, kind, said), (where, 68))
                print(kind, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))

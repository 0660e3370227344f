"""`cloud.toml`: what the cloud is told by its administrator. Owns the file's form, not what is done with it.

A wrong file is a StartupError of one line that names the file and the key.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from headstay import toml
from headstay.errors import StartupError

DEFAULT_PORT = 19443
"""Where devices dial (design section 2)."""
SERVICES_OFFERED = ("telemetry",)
"""The services that this version of the cloud can offer."""

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?\Z"
)


class Listen(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """Where the cloud accepts connections."""

    host: str | tuple[str, ...] = "127.0.0.1"
    """One address or several."""
    port: int = DEFAULT_PORT
    """0 takes a free one, which `cloud.json` in the state directory then names."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses as a tuple, whichever way they were written."""
        return (self.host,) if isinstance(self.host, str) else self.host


class Tls(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The server's certificate: given, or else made by the cloud's own small CA for `names`."""

    certificate: Path | None = None
    """PEM file, the chain after the certificate."""
    private_key: Path | None = None
    """PEM file without a passphrase."""
    names: tuple[str, ...] = ()
    """Host names and addresses under which devices reach the cloud, for the certificate that it makes itself."""


class Configuration(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The whole file."""

    state_dir: Path
    """Registry, CA and certificates; made when it is missing. A relative path counts from the file's directory."""
    listen: Listen = Listen()
    tls: Tls = Tls()
    public_url: str | None = None
    """`https://HOST[:PORT]` that the URLs given to devices carry; without it, the Host header that the device sent."""
    services: tuple[str, ...] = SERVICES_OFFERED
    """The services that are offered to devices."""
    device_trust_anchor: Path | None = None
    """PEM file of the CA that certifies devices; without it no device can use the mechanism `certificate`."""

    @property
    def public_authority(self) -> str | None:
        """`HOST[:PORT]` of `public_url`."""
        return None if self.public_url is None else urlsplit(self.public_url).netloc

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Every name that the cloud's own certificate is made for, each once, in a fixed order."""
        listened = (host for host in self.listen.hosts if host not in {"", "0.0.0.0", "::"})  # noqa: S104 (compared, not bound)
        public = (urlsplit(self.public_url).hostname or "",) if self.public_url else ()
        names = (*self.tls.names, *public, *listened, "localhost", "127.0.0.1", "::1")
        return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names))


def load(path: Path) -> Configuration:
    """Read and check `cloud.toml`. Raises StartupError naming the file and the key."""
    found = toml.read(path, Configuration)
    complaint = _complaint(found)
    if complaint is not None:
        raise StartupError(f"{path}: {complaint}")
    return _resolved(found, path.absolute().parent)


def is_host(text: str) -> bool:
    """Return whether `text` is a domain name in A-labels or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST.match(text) is not None
    return True


def _complaint(found: Configuration) -> str | None:
    """Return what is wrong with values that have the right types, the key first; None when nothing is."""
    if not 0 <= found.listen.port <= 65535:
        return f"listen.port: {found.listen.port} is not within 0..65535"
    if not found.listen.hosts or not all(found.listen.hosts):
        return "listen.host: name at least one address"
    if (found.tls.certificate is None) != (found.tls.private_key is None):
        return "tls: certificate and private-key must be given both, or neither"
    for name in found.tls.names:
        if not is_host(name):
            return f"tls.names: {name!r} is not a host name (in A-labels) or an IP address"
    for service in found.services:
        if service not in SERVICES_OFFERED:
            return f"services: {service!r} is not one of {', '.join(SERVICES_OFFERED)}"
    if found.public_url is not None and not _is_public_url(found.public_url):
        return f"public-url: {found.public_url!r} is not of the form https://HOST or https://HOST:PORT"
    return None


def _is_public_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or parts.username is not None or parts.path not in {"", "/"}:
        return False
    return not parts.query and not parts.fragment and is_host(parts.hostname or "")


def _resolved(found: Configuration, folder: Path) -> Configuration:
    tls = msgspec.structs.replace(
        found.tls, certificate=_from(folder, found.tls.certificate), private_key=_from(folder, found.tls.private_key)
    )
    return msgspec.structs.replace(
        found,
        state_dir=folder / found.state_dir,
        tls=tls,
        device_trust_anchor=_from(folder, found.device_trust_anchor),
    )


def _from(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path

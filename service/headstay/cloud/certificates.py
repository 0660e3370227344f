"""The cloud's TLS: a small CA of its own made at first start, the server certificate it issues, and the TLS context.

Owns the four PEM files in the state directory and their renewal. Knows no socket; the time is an argument.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headstay.cloud.configuration import Configuration
from headstay.cloud.state import write_whole
from headstay.errors import StartupError

CA_LIFE = datetime.timedelta(days=3652)
SERVER_LIFE = datetime.timedelta(days=825)
RENEW_BEFORE = datetime.timedelta(days=30)
_BACKDATED = datetime.timedelta(days=1)
"""Devices without a battery-backed clock often start in the past."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What the TLS context is made of."""

    certificate: Path
    private_key: Path
    ca: Path | None
    """The certificate that devices must trust; None when the server certificate was given from outside."""


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def server_files(configuration: Configuration, now: datetime.datetime) -> ServerFiles:
    """Return the certificate to serve with, making or renewing it when it is the cloud's own.

    A certificate of our own is renewed within RENEW_BEFORE of its end and when the names or the CA have changed.
    Raises StartupError when a file cannot be read, is corrupt or does not fit the others.
    """
    given = configuration.tls
    if given.certificate is not None and given.private_key is not None:
        return ServerFiles(given.certificate, given.private_key, None)
    folder = configuration.state_dir
    ca_file = folder / "ca.pem"
    files = ServerFiles(folder / "server.pem", folder / "server-key.pem", ca_file)
    authority = _authority(ca_file, folder / "ca-key.pem", now)
    if not _still_good(files, authority, configuration.certificate_names, now):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue(authority, key, configuration.certificate_names, now)
        with _writing(folder):
            # The key first: after a crash in between, the pair does not fit and is made anew.
            write_whole(files.private_key, _pem_of_key(key))
            write_whole(files.certificate, _pem(certificate) + _pem(authority.certificate))
    return files


def server_context(files: ServerFiles, device_trust_anchor: Path | None) -> ssl.SSLContext:
    """Make the TLS context. Raises StartupError naming the file that cannot be used.

    With a trust anchor for devices, a client certificate is asked for but not demanded: the mechanism decides.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in (files.certificate, files.private_key):
        _read(path)
    try:
        context.load_cert_chain(files.certificate, files.private_key, password=_no_passphrase)
    except (ssl.SSLError, ValueError):
        raise StartupError(
            f"{files.private_key}: not a PEM private key without passphrase that fits {files.certificate}"
        ) from None
    if device_trust_anchor is not None:
        _read(device_trust_anchor)
        try:
            context.load_verify_locations(device_trust_anchor)
        except ssl.SSLError:
            raise StartupError(f"{device_trust_anchor}: not a PEM certificate (device-trust-anchor)") from None
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def common_name(peer_certificate: object) -> str | None:
    """Return the subject's common name of what `ssl` says of a verified peer; None without a certificate.

    A certificate without exactly one common name gives the empty string, which is nobody's serial number.
    """
    if not isinstance(peer_certificate, dict) or not peer_certificate:
        return None
    pairs = [pair for part in peer_certificate.get("subject", ()) for pair in part]
    names = [value for name, value in pairs if name == "commonName"]
    return names[0] if len(names) == 1 else ""


def _authority(ca_file: Path, key_file: Path, now: datetime.datetime) -> _Authority:
    if not ca_file.exists() and not key_file.exists():
        return _new_authority(ca_file, key_file, now)
    try:
        certificate = x509.load_pem_x509_certificate(_read(ca_file))
    except ValueError:
        raise StartupError(f"{ca_file}: not a PEM certificate; restore it from a backup. {_STARTING_OVER}") from None
    key = _load_key(key_file)
    if key is None or certificate.public_key() != key.public_key():
        raise StartupError(
            f"{key_file}: not the private key of {ca_file.name}; restore it from a backup. {_STARTING_OVER}"
        )
    if certificate.not_valid_after_utc <= now:
        raise StartupError(f"{ca_file}: the CA has expired. {_STARTING_OVER}")
    return _Authority(certificate, key)


_STARTING_OVER = "Without ca.pem and ca-key.pem a new CA is made, which every device must then trust"


def _new_authority(ca_file: Path, key_file: Path, now: datetime.datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"headstay cloud CA {now:%Y-%m-%d}")])
    certificate = (
        _certificate(name, name, key.public_key(), (now, now + CA_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    with _writing(ca_file.parent):
        write_whole(key_file, _pem_of_key(key))
        write_whole(ca_file, _pem(certificate))
    return _Authority(certificate, key)


def _issue(
    authority: _Authority, key: ec.EllipticCurvePrivateKey, names: tuple[str, ...], now: datetime.datetime
) -> x509.Certificate:
    until = min(now + SERVER_LIFE, authority.certificate.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headstay cloud")])
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _certificate(subject, authority.certificate.subject, key.public_key(), (now, until))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    validity: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0] - _BACKDATED)
        .not_valid_after(validity[1])
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _still_good(files: ServerFiles, authority: _Authority, names: tuple[str, ...], now: datetime.datetime) -> bool:
    """Return whether the server certificate that is there can go on being used.

    A file that is missing or that does not fit is simply made anew; one that is there but cannot be read is reported.
    """
    if not files.certificate.exists() or not files.private_key.exists():
        return False
    key = _load_key(files.private_key)
    octets = _read(files.certificate)
    try:
        certificate = x509.load_pem_x509_certificate(octets)
        certificate.verify_directly_issued_by(authority.certificate)
        wanted = x509.SubjectAlternativeName([_general_name(name) for name in names])
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    fits = key is not None and certificate.public_key() == key.public_key() and found == wanted
    return fits and now < certificate.not_valid_after_utc - RENEW_BEFORE


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """Load one of our own private keys; None when it is another kind of key. Raises StartupError when it is corrupt."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise StartupError(
            f"{path}: not a PEM private key; restore it from a backup, or remove it together with its certificate"
        ) from None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartupError(f"{path}: cannot be read: {error.strerror}; make it readable or restore it") from None


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartupError(f"{folder}: certificates cannot be written: {error.strerror}") from None


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _no_passphrase() -> str:
    """Stand in for OpenSSL's prompt at the terminal: a daemon has nobody to ask."""
    raise ValueError("the private key has a passphrase")

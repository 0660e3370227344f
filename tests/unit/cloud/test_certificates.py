from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from headstay.cloud.certificates import CA_LIFE, SERVER_LIFE, common_name, server_context, server_files
from headstay.cloud.configuration import Configuration, Tls
from headstay.errors import StartupError

NOW = datetime.datetime(2026, 1, 27, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(state_dir=tmp_path, tls=Tls(names=("cloud.example",)))


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_first_start_makes_a_ca_and_a_certificate(configuration: Configuration, tmp_path: Path) -> None:
    files = server_files(configuration, NOW)
    ca, server = loaded(tmp_path / "ca.pem"), loaded(files.certificate)
    assert files.ca == tmp_path / "ca.pem"
    server.verify_directly_issued_by(ca)
    assert ca.not_valid_after_utc == NOW + CA_LIFE
    assert server.not_valid_after_utc == NOW + SERVER_LIFE
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cloud.example", "localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    for key in ("ca-key.pem", "server-key.pem"):
        assert (tmp_path / key).stat().st_mode & 0o777 == 0o600


def test_second_start_changes_nothing(configuration: Configuration, tmp_path: Path) -> None:
    server_files(configuration, NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    server_files(configuration, NOW + SERVER_LIFE - 31 * DAY)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_certificate_is_renewed_under_the_same_ca(configuration: Configuration, tmp_path: Path) -> None:
    first = server_files(configuration, NOW)
    ca, old = loaded(tmp_path / "ca.pem"), loaded(first.certificate)

    server_files(configuration, NOW + SERVER_LIFE - 30 * DAY)
    renewed = loaded(first.certificate)
    assert renewed.serial_number != old.serial_number

    more = msgspec.structs.replace(configuration, tls=Tls(names=("other.example",)))
    server_files(more, NOW + SERVER_LIFE - 30 * DAY)
    assert loaded(first.certificate).serial_number != renewed.serial_number

    first.certificate.write_bytes(b"junk")
    server_files(more, NOW)
    loaded(first.certificate).verify_directly_issued_by(ca)
    assert loaded(tmp_path / "ca.pem") == ca

    first.private_key.unlink()
    server_files(more, NOW)
    server_context(first, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [("ca.pem", b"junk"), ("ca.pem", None), ("ca-key.pem", b"junk"), ("ca-key.pem", None), ("server-key.pem", b"junk")],
)
def test_corrupt_or_missing_file_is_named(
    configuration: Configuration, tmp_path: Path, name: str, content: bytes | None
) -> None:
    server_files(configuration, NOW)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StartupError) as caught:
        server_files(configuration, NOW)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_key_of_another_ca_is_refused(configuration: Configuration, tmp_path: Path) -> None:
    server_files(configuration, NOW)
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        (tmp_path / "ca-key.pem").write_bytes(pem_of(key))
        with pytest.raises(StartupError, match="not the private key of"):
            server_files(configuration, NOW)


def test_expired_ca_is_refused(configuration: Configuration) -> None:
    server_files(configuration, NOW)
    with pytest.raises(StartupError, match="expired"):
        server_files(configuration, NOW + CA_LIFE)


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        server_files(Configuration(state_dir=tmp_path / "missing"), NOW)


def test_given_certificate_is_taken_as_it_is(configuration: Configuration, tmp_path: Path) -> None:
    made = server_files(configuration, NOW)
    given = Configuration(state_dir=tmp_path / "other", tls=Tls(made.certificate, made.private_key))
    files = server_files(given, NOW)
    assert (files.certificate, files.private_key, files.ca) == (made.certificate, made.private_key, None)
    assert not (tmp_path / "other").exists()


def test_context_refuses_old_tls_and_asks_for_certificates_only_when_told(
    configuration: Configuration, tmp_path: Path
) -> None:
    files = server_files(configuration, NOW)
    plain = server_context(files, None)
    assert (plain.minimum_version, plain.verify_mode) == (ssl.TLSVersion.TLSv1_2, ssl.CERT_NONE)
    assert server_context(files, tmp_path / "ca.pem").verify_mode == ssl.CERT_OPTIONAL


def test_files_that_do_not_fit_are_named(configuration: Configuration, tmp_path: Path) -> None:
    files = server_files(configuration, NOW)
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(StartupError, match=f"{tmp_path / 'junk'}: not a PEM certificate"):
        server_context(files, tmp_path / "junk")
    with pytest.raises(StartupError, match=f"{tmp_path / 'none'}: cannot be read"):
        server_context(files, tmp_path / "none")
    key = ec.generate_private_key(ec.SECP256R1())
    for octets in (b"junk", pem_of(key), pem_of(key, serialization.BestAvailableEncryption(b"x"))):
        files.private_key.write_bytes(octets)
        with pytest.raises(StartupError, match=f"{files.private_key}: not a PEM private key without passphrase"):
            server_context(files, None)


def pem_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (None, None),
        ({}, None),
        ({"subject": ((("countryName", "FR"),), (("commonName", "SW-1"),))}, "SW-1"),
        ({"subject": ((("countryName", "FR"),),)}, ""),
        ({"subject": ((("commonName", "SW-1"),), (("commonName", "SW-2"),))}, ""),
    ],
)
def test_common_name(certificate: object, name: str | None) -> None:
    assert common_name(certificate) == name

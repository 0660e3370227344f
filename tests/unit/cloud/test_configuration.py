from __future__ import annotations

from pathlib import Path

import pytest

from headstay.cloud.configuration import DEFAULT_PORT, load
from headstay.errors import StartupError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text(text)
    return path


def test_state_dir_is_all_that_is_needed(tmp_path: Path) -> None:
    found = load(written(tmp_path, 'state-dir = "state"'))
    assert found.state_dir == tmp_path / "state"
    assert (found.listen.hosts, found.listen.port) == (("127.0.0.1",), DEFAULT_PORT)
    assert found.services == ("telemetry",)
    assert found.public_authority is None
    assert found.certificate_names == ("127.0.0.1", "localhost", "::1")


def test_everything_can_be_given(tmp_path: Path) -> None:
    text = """
        state-dir = "/var/lib/x"
        public-url = "https://Cloud.Example:7"
        services = []
        device-trust-anchor = "devices.pem"
        [listen]
        host = ["0.0.0.0", "192.0.2.1"]
        port = 0
        [tls]
        certificate = "c.pem"
        private-key = "/k.pem"
        names = ["Other.Example.", "192.0.2.9"]
    """
    found = load(written(tmp_path, text))
    assert found.state_dir == Path("/var/lib/x")
    assert found.public_authority == "Cloud.Example:7"
    assert found.device_trust_anchor == tmp_path / "devices.pem"
    assert (found.tls.certificate, found.tls.private_key) == (tmp_path / "c.pem", Path("/k.pem"))
    assert found.certificate_names == (
        "other.example",
        "192.0.2.9",
        "cloud.example",
        "192.0.2.1",
        "localhost",
        "127.0.0.1",
        "::1",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "missing required field `state-dir`"),
        ("state-dir = 1", "state-dir: Expected the path of a file"),
        ('state-dir = ""', "state-dir: Expected the path of a file"),
        ('state-dir = "s"\nstate_dir = "s"', "unknown field `state_dir`"),
        ('state-dir = "s"\n[listen]\nhosts = "x"', "listen: the table contains unknown field `hosts`"),
        ('state-dir = "s"\n[listen]\nport = "x"', "listen.port: Expected `int`, got `str`"),
        ('state-dir = "s"\n[listen]\nport = 65536', "listen.port: 65536 is not within 0..65535"),
        ('state-dir = "s"\n[listen]\nhost = []', "listen.host: name at least one address"),
        ('state-dir = "s"\n[tls]\ncertificate = "x"', "tls: certificate and private-key"),
        ('state-dir = "s"\n[tls]\nnames = ["bücher"]', "tls.names: 'bücher' is not a host name"),
        ('state-dir = "s"\nservices = ["netconf"]', "services: 'netconf' is not one of telemetry"),
        ('state-dir = "s"\npublic-url = "http://x"', "public-url:"),
        ('state-dir = "s"\npublic-url = "https://x/path"', "public-url:"),
        ('state-dir = "s"\npublic-url = "https://u@x"', "public-url:"),
        ('state-dir = "s"\npublic-url = "https://x:99999"', "public-url:"),
        ('state-dir = "s"\npublic-url = "https://x:p"', "public-url:"),
        ("state-dir =", "not valid TOML"),
    ],
)
def test_wrong_file_is_one_line_that_names_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StartupError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert complaint in message
    assert "\n" not in message


def test_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    with pytest.raises(StartupError, match="cannot be read: No such file"):
        load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StartupError, match="not valid TOML"):
        load(path)

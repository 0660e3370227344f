"""`headstay reconnect`: what its help says."""

from __future__ import annotations

import pytest

from headstay.cli import main


def test_the_help_names_each_reason_for_which_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["reconnect", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "there is no server, the connection is disabled, or a stored secret cannot be decrypted" in said

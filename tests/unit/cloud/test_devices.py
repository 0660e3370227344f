from __future__ import annotations

from headstay.cloud.devices import fold


def test_fold() -> None:
    assert fold("A.b_C-1" + "x" * 56) == "a.b_c-1" + "x" * 56

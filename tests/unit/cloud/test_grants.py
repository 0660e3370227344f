from __future__ import annotations

from headstay.cloud.grants import Grants


def test_secret_stands_for_its_value_until_it_expires() -> None:
    grants: Grants[str] = Grants(life=30.0, per_owner=2)
    assert grants.issue("s", "owner", "value", 100.0)
    assert grants.look("s", 129.9) == "value"
    assert grants.look("s", 130.0) is None
    assert grants.look("other", 100.0) is None


def test_taking_spends_the_secret() -> None:
    grants: Grants[str] = Grants(life=30.0, per_owner=2)
    grants.issue("s", "owner", "value", 0.0)
    assert grants.take("s", 1.0) == "value"
    assert grants.take("s", 1.0) is None
    grants.issue("late", "owner", "value", 0.0)
    assert grants.take("late", 30.0) is None
    assert len(grants) == 0


def test_owner_keeps_only_its_newest() -> None:
    grants: Grants[int] = Grants(life=30.0, per_owner=2)
    for number in range(4):
        grants.issue(f"s{number}", "owner", number, 0.0)
    grants.issue("t", "other", 9, 0.0)
    assert [grants.look(f"s{number}", 1.0) for number in range(4)] == [None, None, 2, 3]
    grants.revoke("owner")
    assert [grants.look(s, 1.0) for s in ("s2", "s3", "t")] == [None, None, 9]
    grants.revoke("owner")


def test_grants_are_revoked_by_what_they_stand_for() -> None:
    grants: Grants[int] = Grants(life=30.0, per_owner=2)
    for number, owner in enumerate(("one", "other", "one")):
        grants.issue(f"s{number}", owner, number, 0.0)
    grants.revoke_where(lambda value: value < 2)
    assert [grants.look(f"s{number}", 1.0) for number in range(3)] == [None, None, 2]
    grants.revoke("one")
    assert len(grants) == 0


def test_table_is_bounded_until_grants_expire() -> None:
    grants: Grants[int] = Grants(life=30.0, per_owner=1, most=2)
    assert [grants.issue(f"s{n}", f"owner{n}", n, 0.0) for n in range(3)] == [True, True, False]
    assert grants.look("s2", 0.0) is None
    assert grants.issue("s3", "owner3", 3, 30.0)
    assert len(grants) == 1


def test_full_table_still_lets_an_owner_exchange_its_own() -> None:
    grants: Grants[int] = Grants(life=30.0, per_owner=1, most=1)
    grants.issue("s", "owner", 1, 0.0)
    assert grants.issue("t", "owner", 2, 0.0)
    assert (grants.look("s", 0.0), grants.look("t", 0.0)) == (None, 2)


def test_secrets_are_not_kept() -> None:
    grants: Grants[int] = Grants(life=30.0, per_owner=1)
    grants.issue("very-secret", "owner", 1, 0.0)
    assert "very-secret" not in repr(vars(grants))


def test_odd_text_is_just_a_wrong_secret() -> None:
    assert Grants[int](life=1.0, per_owner=1).take("\ud800", 0.0) is None

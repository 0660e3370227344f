"""Turns that are fair among users: who is next, and that nothing is lost when somebody stops waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest

from headstay.datastore.turns import Queue, Turns


def queue(slots: int, *asked: str | None) -> Queue[str]:
    """Everybody asks in this order; the waiters are numbered for each user."""
    made: Queue[str] = Queue(slots)
    numbers: dict[str | None, int] = {}
    for user in asked:
        numbers[user] = numbers.get(user, 0) + 1
        if not made.take(user):
            made.wait(user, f"{user or 'device'}{numbers[user]}")
    return made


def test_who_asks_first_has_the_slot_and_others_wait() -> None:
    made: Queue[str] = Queue(1)
    assert made.take("a")
    assert not made.take("b")
    made.wait("b", "b1")
    assert made.give_back("a") == "b1"
    assert not made.take("c")
    assert made.give_back("b") is None
    assert made.take("c")


def test_one_user_delays_another_by_one_turn_at_most() -> None:
    made = queue(1, "a", "a", "a", "b")
    assert made.give_back("a") == "b1"
    assert made.give_back("b") == "a2"
    assert made.give_back("a") == "a3"


def test_users_take_turns() -> None:
    made = queue(1, "a", "a", "a", "b", "b", "c")
    assert [made.give_back(user) for user in "abcab"] == ["b1", "c1", "a2", "b2", "a3"]


def test_the_device_goes_before_everybody() -> None:
    made = queue(1, "a", "b", "c", None)
    assert made.give_back("a") == "device1"
    assert made.give_back(None) == "b1"


def test_nobody_has_two_slots_even_if_one_is_free() -> None:
    made = queue(2, "a", "a")
    assert not made.take("a")
    assert made.take("b")
    assert made.give_back("b") is None  # a waits, and has one
    assert made.give_back("a") == "a2"


def test_who_waits_no_longer_is_passed_over() -> None:
    made = queue(1, "a", "b", "b", "c")
    assert made.withdraw("b", "b1")
    assert made.give_back("a") == "b2"
    assert not made.withdraw("b", "b2")  # it has its slot
    assert made.withdraw("c", "c1")
    assert made.give_back("b") is None


# tasks ---------------------------------------------------------------------------------------------------------------


class Hall:
    """Tasks that hold a turn until they are told to give it back."""

    def __init__(self, slots: int) -> None:
        self.turns = Turns(slots)
        self.holding: dict[str, asyncio.Event] = {}

    def enter(self, name: str, user: Hashable) -> asyncio.Task[None]:
        async def hold() -> None:
            async with self.turns.of(user):
                self.holding[name] = asyncio.Event()
                try:
                    await self.holding[name].wait()
                finally:
                    del self.holding[name]

        return asyncio.get_running_loop().create_task(hold())

    async def leave(self, name: str) -> None:
        self.holding[name].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_tasks_take_turns() -> None:
    hall = Hall(1)
    tasks = [hall.enter(name, name[0]) for name in ("a1", "a2", "b1")]
    await settle()
    for name in ("a1", "b1", "a2"):
        assert list(hall.holding) == [name]
        await hall.leave(name)
    await asyncio.gather(*tasks)


async def test_a_slot_comes_back_after_an_error() -> None:
    turns = Turns(1)
    with pytest.raises(KeyError):
        async with turns.of("a"):
            raise KeyError
    async with turns.of("a"):
        pass


async def test_who_is_cancelled_while_waiting_takes_no_slot() -> None:
    hall = Hall(1)
    holder, waiter, last = (hall.enter(name, name) for name in ("a", "b", "c"))
    await settle()
    waiter.cancel()
    await settle()
    await hall.leave("a")
    assert list(hall.holding) == ["c"]
    await hall.leave("c")
    await asyncio.gather(holder, last)
    assert waiter.cancelled()


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_who_is_cancelled_in_the_moment_of_the_turn_hands_it_on(*, cancelled_first: bool) -> None:
    hall = Hall(1)
    holder, waiter, last = (hall.enter(name, name) for name in ("a", "b", "c"))
    await settle()
    hall.holding["a"].set()
    if cancelled_first:
        asyncio.get_running_loop().call_soon(waiter.cancel)
        await asyncio.sleep(0)
    else:
        await asyncio.sleep(0)
        waiter.cancel()
    await settle()
    assert list(hall.holding) == ["c"]
    await hall.leave("c")
    await asyncio.gather(holder, last)
    assert waiter.cancelled()

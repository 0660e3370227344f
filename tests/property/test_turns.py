"""Whatever users ask for, give back and stop waiting for: the slots are never exceeded, and everybody gets a turn."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headstay.datastore.turns import Queue

Waiter = tuple[str | None, int]


class Users(RuleBasedStateMachine):
    """Users who ask at any time, beside a record of who holds, who waits, and who was served while they waited."""

    @initialize(slots=st.integers(1, 3))
    def start(self, slots: int) -> None:
        self.slots = slots
        self.queue: Queue[Waiter] = Queue(slots)
        self.holding: dict[str | None, Waiter] = {}
        self.waiting: list[Waiter] = []
        self.served: dict[str | None, list[str | None]] = {}
        """For each user who waits: who has had a turn since."""
        self.count = 0

    def begin(self, waiter: Waiter) -> None:
        user = waiter[0]
        assert user not in self.holding
        self.holding[user] = waiter
        self.served.pop(user, None)
        for others in self.served.values():
            others.append(user)

    @rule(user=st.sampled_from([None, "a", "b", "c"]))
    def ask(self, user: str | None) -> None:
        self.count += 1
        waiter = user, self.count
        if self.queue.take(user):
            self.begin(waiter)
            return
        self.queue.wait(user, waiter)
        self.waiting.append(waiter)
        if user not in self.holding:
            self.served.setdefault(user, [])

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(sorted(self.holding, key=str)))
        del self.holding[user]
        if any(waiter[0] == user for waiter in self.waiting):
            self.served[user] = []
        granted = self.queue.give_back(user)
        if granted is None:
            return
        assert granted == next(waiter for waiter in self.waiting if waiter[0] == granted[0])
        assert granted[0] is None or None in self.holding or None not in {user for user, _ in self.waiting}
        self.waiting.remove(granted)
        self.begin(granted)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiting))
        assert self.queue.withdraw(*waiter[:1], waiter)
        self.waiting.remove(waiter)
        if all(other[0] != waiter[0] for other in self.waiting):
            self.served.pop(waiter[0], None)

    @invariant()
    def there_are_never_more_holders_than_slots(self) -> None:
        assert len(self.holding) <= self.slots

    @invariant()
    def no_slot_is_free_while_somebody_could_have_it(self) -> None:
        assert len(self.holding) == self.slots or all(user in self.holding for user, _ in self.waiting)

    @invariant()
    def nobody_waits_for_more_than_one_turn_of_another_user(self) -> None:
        for others in self.served.values():
            users = [user for user in others if user is not None]
            assert len(users) == len(set(users))


TestUsers = Users.TestCase

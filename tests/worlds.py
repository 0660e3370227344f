"""Where the tests of the machine begin: the usual servers, and a world whose link is established."""

from __future__ import annotations

from fakes import FakeCloud, World
from headstay.engine.reasons import DeviceState
from headstay.engine.settings import Role, Server, Settings

A = Server("a.example")
B = Server("b.example", role=Role.BACKUP)
C = Server("c.example", role=Role.BACKUP)
ONE = Settings(servers=(A,))
THREE = Settings(servers=(A, B, C))


def connected(settings: Settings = ONE, clouds: dict[str, FakeCloud] | None = None) -> World:
    """Return a world whose link is established, and that has forgotten how it came to be."""
    world = World(settings, clouds or {}).start().settle()
    assert world.state is DeviceState.CONNECTED
    return world.forget()


def kinds(world: World) -> list[str]:
    """Return the kinds of the effects, without the events."""
    return [type(effect).__name__ for effect in world.effects if not hasattr(effect, "event")]

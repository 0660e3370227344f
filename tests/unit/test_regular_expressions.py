"""No regular expression, the model's or our own, can be made to backtrack for longer than its text is long."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from yangson import datatype as yang

import headstay
from backtracking import Automaton, Cost, cost
from models import device_model

SHORT = 1024
"""Characters of a text on which quadratic time is no time."""
EXCUSED = {
    ("headstay.datastore.modules", r'^\s*x\s+"?([^\s";{]+)'): "our own YANG modules are read with it",
    ("headstay.datastore.modules", r'^\s*import\s+([\w.-]+)\s*\{\s*prefix\s+"?([\w.-]+)'): "the same",
    ("headstay.datastore.modules", r'^\s*deviation\s+"?/([\w.-]+):'): "the same",
    ("headstay.datastore.values", "_QUOTED_OR_PREFIX"): "the look-behind lets no match start within a name",
    ("headstay.dhcp.hooks", r"[ ,]+"): "nothing follows that could fail",
    ("headstay.wire.messages", "_PATTERN"): "msgspec's own text, in which 64 characters of ours stand at most",
}


@pytest.mark.parametrize(
    "pattern", ["a*b", "(ab|ac)*d", r"(\w+\.)*\w+", "[^:]*:[^:]*", "(a{0,3}:){0,5}b", "(?:x|y)+?z", "a?a?", "(a|a)*b"]
)
def test_linear(pattern: str) -> None:
    assert cost(pattern) is Cost.LINEAR


@pytest.mark.parametrize("pattern", ["a*a*b", r".*\..*b", r"\s*x?\s*y", r"[a-z]+\w{0,100}!", "(a|b)*c?(b|d)*e"])
def test_polynomial(pattern: str) -> None:
    assert cost(pattern) is Cost.POLYNOMIAL


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+b", "(a?b?)*c", r"(\w|\da?)*!", "(.*,)*x", "((a*)b?)*c"])
def test_exponential(pattern: str) -> None:
    assert cost(pattern) is Cost.EXPONENTIAL


def test_a_search_starts_anywhere() -> None:
    assert cost("[a-z]+:", search=False) is cost("^[a-z]+:", search=True) is Cost.LINEAR
    assert cost("[a-z]+:", search=True) is Cost.POLYNOMIAL


def types_of(kind: Any) -> Iterator[Any]:
    yield kind
    for member in getattr(kind, "types", ()):
        yield from types_of(member)


def string_types() -> dict[tuple[str, ...], yang.StringType]:
    """The strings with patterns among the types of the model, each kind once."""
    model = device_model()
    roots = [model.schema, *(model.rpc(tag) for tag in model.rpcs)]
    kinds = [
        kind for root in roots for node in root.walk() if node.terminal for kind in types_of(model._types[node]._type)
    ]
    return {tuple(p.pattern for p in kind.patterns): kind for kind in kinds if getattr(kind, "patterns", ())}


@pytest.mark.parametrize("kind", string_types().values(), ids=lambda kind: str(kind.name))
def test_patterns_of_the_model(kind: yang.StringType) -> None:
    """Lengths are checked first, then the patterns in their order: each sees only what those before it let pass."""
    longest = max((interval[-1] for interval in kind.length.intervals), default=0) if kind.length else None
    passed: list[Automaton] = []
    for pattern in kind.patterns:
        automaton = Automaton(pattern.regex.pattern, pattern.regex.flags)
        loops = [earlier.repeated() for earlier in passed]
        found = automaton.cost(lambda character, loops=loops: all(among(character) for among in loops))
        assert found is Cost.LINEAR or (found is Cost.POLYNOMIAL and longest is not None and longest <= SHORT)
        if not pattern.invert_match:
            passed.append(automaton)


def modules() -> list[ModuleType]:
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(headstay.__path__, "headstay.")
            if not found.name.endswith("__main__")]  # fmt: skip


def evaluated(node: ast.expr, module: ModuleType) -> Any:
    """The value of an expression, with `x` for what only a function knows."""
    names = {part.id: "x" for part in ast.walk(node) if isinstance(part, ast.Name)}
    return eval(compile(ast.Expression(node), "", "eval"), {**names, **vars(module)})


def expressions(module: ModuleType) -> Iterator[tuple[str, str, int, bool]]:
    """Each expression of a module: how to call it here, itself, its flags, and whether a match may start anywhere."""
    source = Path(str(module.__file__)).read_text()
    for call in ast.walk(ast.parse(source)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        if not (isinstance(call.func.value, ast.Name) and call.func.value.id == "re") or not call.args:
            continue
        if call.func.attr == "compile":
            continue
        if call.func.attr in ("match", "fullmatch", "search", "sub", "split", "findall", "finditer"):
            flags = evaluated(call.args[2], module) if call.func.attr != "sub" and len(call.args) > 2 else 0
            pattern = evaluated(call.args[0], module)
            yield pattern, pattern, int(flags), call.func.attr not in ("match", "fullmatch")
    for name, value in vars(module).items():
        if isinstance(value, re.Pattern):
            uses = set(re.findall(rf"\b{name}\.(\w+)\(", source))
            text = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("latin-1")
            yield name, text, value.flags & ~re.UNICODE, not uses <= {"match", "fullmatch"}
        for note in getattr(value, "__metadata__", ()):
            if getattr(note, "pattern", None) is not None:
                yield name, note.pattern, 0, True


def test_our_own_expressions() -> None:
    found: dict[str, int] = defaultdict(int)
    for module in modules():
        for name, pattern, flags, search in expressions(module):
            if (module.__name__, name) not in EXCUSED:
                found[module.__name__] += 1
                assert Automaton(pattern, flags, search=search).cost() is Cost.LINEAR, (module.__name__, name)
    assert sum(found.values()) >= 30


def test_every_excuse_is_needed() -> None:
    known = {(module.__name__, name): rest for module in modules() for name, *rest in expressions(module)}
    for excused in EXCUSED:
        pattern, flags, search = known[excused]
        assert cost(str(pattern), int(flags), search=bool(search)) is not Cost.LINEAR

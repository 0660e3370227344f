"""Values of leafs: from the text in a message to the canonical form, to JSON and to the YANG library's own value.

With `model`, `constraints`, `patterns` and `violations`, one of the importers of the YANG library (yangson). Knows its
traps of values: it reads `1_000`, ` 1` and 1.005 with two fraction digits without complaint, so `values` looks at every
text first; its messages quote the value, which may be a secret, so the messages here are our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yangson import datatype as yang
from yangson import xpathast
from yangson.enumerations import Axis

from headstay.datastore import standard_types, values
from headstay.datastore.schema import Canonical
from headstay.datastore.values import NotAValue

_EXPRESSIONS = ("xpath1.0", "node-instance-identifier")
"""String types whose text uses prefixes (RFC 6991 section 3, RFC 8341)."""
_IPV6 = ("ipv6-address", "ipv6-address-no-zone")
_EXPECTED = "expected "


@dataclass(frozen=True, slots=True)
class Names:
    """How modules are named: by namespace in XML, by prefix in canonical text, by name in the library and in JSON."""

    prefix_of_namespace: Mapping[str, str]
    namespace_of_prefix: Mapping[str, str]
    name_of_prefix: Mapping[str, str]

    def prefix_of_name(self, name: str) -> str:
        """Return the prefix of a module."""
        return next(prefix for prefix, module in self.name_of_prefix.items() if module == name)


class LeafType:
    """The type of one leaf or leaf-list."""

    def __init__(self, library_type: Any, names: Names) -> None:
        self._type = library_type
        self._names = names

    @property
    def name(self) -> str | None:
        """The typedef's name, None for a built-in type."""
        name: str | None = self._type.name
        return name

    @property
    def uses_prefixes(self) -> bool:
        """Whether the text of a value may use prefixes."""
        return _uses_prefixes(self._type)

    def canonical(self, text: str, prefixes: Mapping[str | None, str]) -> Canonical:
        """Return the canonical form (RFC 7950 section 9.1) of a text with these prefixes in scope. Raises NotAValue."""
        return self._canonical(self._type, text, prefixes)

    def default(self, value: Any) -> str:
        """Return the canonical text of a default that the library has parsed."""
        return self._canonical_text(self._type, value)

    def library_value(self, text: str) -> Any:
        """Return the library's value for a canonical text."""
        return self._library_value(self._type, text)

    def accepts(self, text: str) -> bool:
        """Return whether a canonical text is a value of this type; an instance that it refers to is not looked for."""
        try:
            return self.library_value(text) in self._type
        except (NotAValue, TypeError):
            return False

    def json(self, text: str) -> Any:
        """Return the RFC 7951 JSON value for a canonical text."""
        return self._type.to_raw(self._library_value(self._type, text))

    # what XPath functions ask (RFC 7950 section 10); a text has these prefixes in scope

    def names_identity(
        self, text: str, prefixes: Mapping[str | None, str], base: tuple[str, str], *, itself: bool
    ) -> bool:
        """Return whether a text is an identity derived from `base`, a name and a module, or, if `itself`, that one."""
        kind = self._member(self._type, text, prefixes)
        if not isinstance(kind, yang.IdentityrefType):
            return False
        identity = self._library_value(kind, self._canonical(kind, text, prefixes).text)
        return (itself and identity == base) or bool(kind.sctx.schema_data.is_derived_from(identity, base))

    def enum_value(self, text: str, prefixes: Mapping[str | None, str]) -> int | None:
        """Return the number of an enumeration's name; None where a text is none."""
        kind = self._member(self._type, text, prefixes)
        return kind.enum[text] if isinstance(kind, yang.EnumerationType) else None

    def has_bit(self, text: str, prefixes: Mapping[str | None, str], bit: str) -> bool:
        """Return whether a text is of type bits and has this one set."""
        kind = self._member(self._type, text, prefixes)
        return isinstance(kind, yang.BitsType) and bit in text.split()

    @property
    def is_instance_identifier(self) -> bool:
        """Whether a value is the path of an instance."""
        return isinstance(self._type, yang.InstanceIdentifierType)

    @property
    def leafref(self) -> Sequence[str]:
        """The steps from a leaf to what it refers to: `/`, `..`, and tags, without a namespace for the leaf's own.

        None of them where it does not refer to a leaf. Predicates are left out: the models have none there.
        """
        return tuple(self._steps(self._type.path)) if isinstance(self._type, yang.LeafrefType) else ()

    def _steps(self, path: Any) -> Iterator[str]:
        match path:
            case xpathast.LocationPath():
                yield from self._steps(path.left)
                yield from self._steps(path.right)
            case xpathast.Root():
                yield "/"
            case xpathast.Step(axis=Axis.parent):
                yield ".."
            case xpathast.Step():
                name, module = path.qname
                prefix = self._names.prefix_of_name(module) if module else None
                yield f"{{{self._names.namespace_of_prefix[prefix]}}}{name}" if prefix else name

    def _member(self, kind: Any, text: str, prefixes: Mapping[str | None, str]) -> Any:
        """Return the built-in type that a text is a value of; None if it is none of this one."""
        match kind:
            case yang.UnionType():
                found = (self._member(member, text, prefixes) for member in kind.types)
                return next((member for member in found if member is not None), None)
            case yang.LeafrefType():
                return self._member(kind.ref_type, text, prefixes)
        try:
            self._canonical(kind, text, prefixes)
        except NotAValue:
            return None
        return kind

    def _canonical(self, kind: Any, text: str, prefixes: Mapping[str | None, str]) -> Canonical:
        match kind:
            case yang.UnionType():
                return self._of_union(kind, text, prefixes)
            case yang.LeafrefType():
                return self._canonical(kind.ref_type, text, prefixes)
            case yang.IdentityrefType():
                return self._identity(kind, text, prefixes)
            case yang.InstanceIdentifierType():
                return self._path(text, prefixes)
        plain = _plain(kind, text)
        _check_restrictions(kind, kind.parse_value(plain))
        if kind.name == "node-instance-identifier":
            values.node_path(plain)
        return self._renamed(plain, prefixes) if kind.name in _EXPRESSIONS else Canonical(_in_usual_form(kind, plain))

    def _of_union(self, union: Any, text: str, prefixes: Mapping[str | None, str]) -> Canonical:
        errors = []
        for member in union.types:
            try:
                return self._canonical(member, text, prefixes)
            except NotAValue as error:
                errors.append(error)
        # Where the model explains itself, nobody wants to read of the other members beside that.
        told = [error for error in errors if error.explained]
        words = None if told else standard_types.known(union.name)
        raise NotAValue(words or _alternatives(told or errors), explained=bool(told))

    def _identity(self, kind: Any, text: str, prefixes: Mapping[str | None, str]) -> Canonical:
        namespace, name = values.qualified_name(text, prefixes)
        prefix = self._names.prefix_of_namespace.get(namespace, "")
        identity = (name, self._names.name_of_prefix.get(prefix))
        if not all(kind.sctx.schema_data.is_derived_from(identity, base) for base in kind.bases):
            bases = " and ".join(f"{module}:{base}" for base, module in kind.bases)
            raise NotAValue(f"expected an identity derived from {bases}")
        return Canonical(f"{prefix}:{name}", {prefix: namespace})

    def _path(self, text: str, prefixes: Mapping[str | None, str]) -> Canonical:
        renamed = self._renamed(text, prefixes)
        if not renamed.prefixes or self._route(renamed.text) is None:
            raise NotAValue("expected an instance-identifier")
        return renamed

    def _renamed(self, expression: str, prefixes: Mapping[str | None, str]) -> Canonical:
        """Give an expression the modules' own prefixes."""
        renamed = {}
        for used in values.prefixes_in_path(expression):
            prefix = self._names.prefix_of_namespace.get(prefixes.get(used, ""))
            if prefix is None:
                raise NotAValue(f"the prefix {used!r} does not stand for a known module")
            renamed[used] = prefix
        return Canonical(
            values.with_prefixes(expression, renamed),
            {prefix: self._names.namespace_of_prefix[prefix] for prefix in renamed.values()},
        )

    def _route(self, canonical: str) -> Any:
        # The library's parser reads RFC 7951's form, where a prefix is a module's name.
        return yang.InstanceIdentifierType.from_raw(
            self._type, values.with_prefixes(canonical, self._names.name_of_prefix)
        )

    def _library_value(self, kind: Any, text: str) -> Any:
        match kind:
            case yang.UnionType():
                scope: dict[str | None, str] = dict(self._names.namespace_of_prefix.items())
                for member in kind.types:
                    try:
                        self._canonical(member, text, scope)
                    except NotAValue:
                        continue
                    return self._library_value(member, text)
                raise NotAValue("expected a value of one of the union's types")
            case yang.LeafrefType():
                return self._library_value(kind.ref_type, text)
            case yang.IdentityrefType():
                prefix, _, name = text.partition(":")
                return name, self._names.name_of_prefix[prefix]
            case yang.InstanceIdentifierType():
                return self._route(text)
        return kind.parse_value(text)

    def _canonical_text(self, kind: Any, value: Any) -> str:
        match kind:
            case yang.UnionType():
                return self._canonical_text(next(member for member in kind.types if _holds(member, value)), value)
            case yang.LeafrefType():
                return self._canonical_text(kind.ref_type, value)
            case yang.IdentityrefType():
                name, module = value
                return f"{self._names.prefix_of_name(module)}:{name}"
        text: str = kind.canonical_string(value)
        return _in_usual_form(kind, text)


def _uses_prefixes(kind: Any) -> bool:
    match kind:
        case yang.UnionType():
            return any(map(_uses_prefixes, kind.types))
        case yang.LeafrefType():
            return _uses_prefixes(kind.ref_type)
    return isinstance(kind, yang.IdentityrefType | yang.InstanceIdentifierType) or kind.name in _EXPRESSIONS


def _holds(kind: Any, value: Any) -> bool:
    try:
        return value in kind
    except TypeError:  # the library compares values of different types
        return False


def _alternatives(errors: Sequence[NotAValue]) -> str:
    """Say in one sentence what each of a union's members expects."""
    reasons = list(dict.fromkeys(map(str, errors)))
    if not all(reason.startswith(_EXPECTED) for reason in reasons):
        return "; or ".join(reasons)
    return _EXPECTED + ", or ".join(reason.removeprefix(_EXPECTED) for reason in reasons)


def _plain(kind: Any, text: str) -> str:
    """Return the canonical text of a type whose text uses no prefixes, before its restrictions."""
    match kind:
        case yang.IntegralType():
            return values.integer(text)
        case yang.Decimal64Type():
            return values.decimal64(text, kind.fraction_digits)
        case yang.BooleanType():
            return values.boolean(text)
        case yang.EmptyType():
            return values.empty(text)
        case yang.BinaryType():
            return values.binary(text)
        case yang.BitsType():
            return values.bits(text, kind.bit)
        case yang.EnumerationType() if text not in kind.enum:
            raise NotAValue(f"expected one of {', '.join(kind.enum)}")
    return text


def _in_usual_form(kind: Any, text: str) -> str:
    """Return the canonical form of a text that has one by its typedef, beyond what its built-in type says."""
    return values.ipv6_address(text) if kind.name in _IPV6 else text


def _check_restrictions(kind: Any, value: Any) -> None:
    """Check range, length and patterns. Raises NotAValue; never quotes the value."""
    if isinstance(kind, yang.NumericType):
        allowed = kind.range
        if value is None:  # more digits than the library's decimals hold
            raise NotAValue("out of range")
        if allowed is None and not kind._range[0] <= value <= kind._range[1]:
            raise NotAValue(f"expected {kind._range[0]}..{kind._range[1]}")
        if allowed is not None and value not in allowed:
            raise _broken(allowed, "not in range", f"expected {allowed}")
    if isinstance(kind, yang.LinearType) and kind.length is not None and len(value) not in kind.length:
        length = kind.length
        raise _broken(length, "invalid length", f"expected a length of {length}")
    for pattern in getattr(kind, "patterns", ()):
        if (_fullmatch(pattern.regex, value) is None) != pattern.invert_match:
            raise _broken(pattern, f"pattern '{pattern.pattern}'", standard_types.expected(kind.name))


def _fullmatch(regex: re.Pattern[str], value: str) -> re.Match[str] | None:
    # `$` alone would let a final newline pass, which XML Schema's expressions (always anchored) do not.
    return regex.fullmatch(value)


def _broken(constraint: Any, usual: str, otherwise: str) -> NotAValue:
    message: str | None = constraint.error_message
    if message is None or message == usual:
        return NotAValue(otherwise, constraint.error_tag)
    return NotAValue(message, constraint.error_tag, explained=True)

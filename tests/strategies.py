"""Hypothesis strategies for the device's own configuration and for edits of it.

Values are few, so that edits meet what is there. Nearly all of it is valid; the tests say what must
hold when it is not.
"""

from __future__ import annotations

from hypothesis import strategies as st

from headstay import xml

DOMAINS = ("a.example", "b.example", "c.example", "A.Example", "192.0.2.1", "2001:db8::1")
OPERATIONS = ("merge", "replace", "create", "delete", "remove")
CERTIFICATES = tuple(f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----" for body in ("AAAA", "BBBB"))
SECRETS = ("$aes-256-gcm$AAAA", "$aes-256-gcm$BBBB")
SWITCHBACKS = (
    "<switchback/>",
    "<switchback><mode>never</mode></switchback>",
    "<switchback><mode>hold-down</mode><hold-down>10</hold-down></switchback>",
    "<switchback><mode>hold-down</mode><hold-down>300</hold-down></switchback>",
)
USERS = ("admin", "guest")

Piece = st.SearchStrategy[str]


def leaf(name: str, values: tuple[str, ...], attributes: Piece) -> Piece:
    """A leaf with one of these values."""
    return st.builds(lambda value, more: f"<{name}{more}>{value}</{name}>", st.sampled_from(values), attributes)


def some(*pieces: Piece) -> Piece:
    """Some of these pieces, in any order, each at most once."""
    optional = st.tuples(*(st.one_of(st.just(""), piece) for piece in pieces))
    return optional.flatmap(lambda chosen: st.permutations([piece for piece in chosen if piece])).map("".join)


def node(name: str, content: Piece, attributes: Piece) -> Piece:
    """A container or a list entry."""
    return st.builds(lambda inside, more: f"<{name}{more}>{inside}</{name}>", content, attributes)


def entries(entry: Piece, most: int) -> Piece:
    """Several entries of a list; an edit may name one twice."""
    return st.lists(entry, max_size=most).map("".join)


def joined(*pieces: Piece) -> Piece:
    """All of these pieces, in this order."""
    return st.tuples(*pieces).map("".join)


def _cloud_management(operation: Piece, insertion: Piece) -> Piece:
    plain = st.just("")
    where = st.builds(lambda first, second: first + second, operation, insertion)
    port = leaf("port", ("1", "443", "19443", "65535"), operation)
    backup = node("backup-server", joined(leaf("domain", DOMAINS, plain), some(port)), where)
    service = joined(
        leaf("name", ("telemetry", "netconf", "other"), plain),
        some(
            leaf("enabled", ("true", "false"), operation),
            leaf("queue-limit", ("1", "1000"), operation),
            leaf("rate-limit", ("1", "50"), operation),
        ),
    )
    return some(
        leaf("enabled", ("true", "false"), operation),
        node("server", some(leaf("domain", DOMAINS, operation), port, leaf("password", SECRETS, operation)), operation),
        entries(backup, 4),
        leaf("keepalive-interval", ("10", "180", "600"), operation),
        leaf("ping-interval", ("10", "60", "600"), operation),
        leaf("source-address", ("192.0.2.1", "2001:db8::1"), operation),
        leaf("address-family", ("any", "ipv4", "ipv6"), operation),
        st.sampled_from(SWITCHBACKS),
        node(
            "tls",
            some(
                entries(leaf("trust-anchor", CERTIFICATES, operation), 2),
                leaf("client-certificate", CERTIFICATES, operation),
                leaf("private-key", SECRETS, operation),
            ),
            operation,
        ),
        node(
            "dhcp",
            some(leaf("enabled", ("true", "false"), operation), leaf("interface", ("vlan1", "eth0"), operation)),
            operation,
        ),
        entries(node("service", service, operation), 3),
    )


def _users(operation: Piece) -> Piece:
    plain = st.just("")
    hashes = tuple(f"$6$salt${letter * 86}" for letter in "ab")
    user = joined(leaf("name", USERS, plain), some(leaf("password", hashes, operation)))
    return node("authentication", entries(node("user", user, operation), 2), st.just(""))


def _config(operation: Piece, insertion: Piece) -> Piece:
    nothing = st.just("")
    return some(
        node("cloud-management", _cloud_management(operation, insertion), nothing).map(
            lambda text: text.replace("<cloud-management", f'<cloud-management xmlns="{xml.HCM}"', 1)
        ),
        node("system", _users(operation), nothing).map(
            lambda text: text.replace("<system", f'<system xmlns="{xml.SYSTEM}"', 1)
        ),
    )


def configurations() -> Piece:
    """The content of <config> without operations. Not always valid: a server may stand in it twice, for instance."""
    return _config(st.just(""), st.just(""))


def edits() -> Piece:
    """The content of <config> with operations and insertions, right and wrong."""
    operation = st.sampled_from(OPERATIONS).map(lambda name: f' nc:operation="{name}"')
    insertion = st.one_of(
        st.sampled_from(["first", "last"]).map(lambda place: f' yang:insert="{place}"'),
        st.builds(
            lambda place, domain: f' yang:insert="{place}" yang:key="[hcm:domain=\'{domain}\']"',
            st.sampled_from(["before", "after"]),
            st.sampled_from(DOMAINS),
        ),
    )
    rarely = st.sampled_from([False, False, False, True])
    return _config(
        rarely.flatmap(lambda yes: operation if yes else st.just("")),
        rarely.flatmap(lambda yes: insertion if yes else st.just("")),
    )


DEFAULT_OPERATIONS = st.sampled_from(["merge", "merge", "merge", "replace", "none"])

"""XPath filters (RFC 6241 section 8.9): from the expression that a client wrote to a `Selection`.

lxml evaluates; this file makes that safe and right. The accessible tree has its top-level nodes right below the root,
where our trees have an element `data` in between, so absolute paths are led through it. Prefixes that the client did
not declare are those of the model. YANG's own functions are there (`xpath_functions`). An expression that could take
too long is refused before it runs, or ended when its functions have done too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

from lxml import etree

from headstay.datastore.model import Model
from headstay.errors import ErrorType, NetconfError, ResourceDenied
from headstay.netconf.limits import Limits
from headstay.netconf.selection import Selection
from headstay.netconf.xpath_cost import Size, affordable, size
from headstay.netconf.xpath_functions import Functions, prepared
from headstay.netconf.xpath_tokens import Token, invalid, split, tokens


def select(
    tree: etree._Element, expression: str, prefixes: Mapping[str | None, str], model: Model, limits: Limits
) -> Selection:
    """Evaluate an expression on a tree. `prefixes` are those in scope where the client wrote it.

    Raises InvalidValue where the expression is wrong or its result is not a node-set (RFC 6241 section 8.9.1), and
    ResourceDenied where it would take too long.
    """
    whole = _tokens(expression, limits.xpath_characters)
    namespaces = _namespaces(whole, prefixes, model)
    functions = Functions(model, prefixes, limits.xpath_work)
    # The paths of a union are evaluated one by one: libxml2 takes quadratic time to unite node-sets.
    paths = split(whole, "|")
    measured = size(tree)
    if not affordable(paths, measured, limits.xpath_work):
        raise _too_much("the XPath expression asks for too much work")
    selection = Selection()
    selected = 0
    for path in paths:
        nodes = _evaluated(path, namespaces, functions, tree)
        selected += len(nodes)
        if selected > 2 * measured.nodes + limits.xpath_repeated_nodes:
            raise _too_much("the paths of the XPath expression select the same nodes too often")
        _choose(selection, nodes)
    return selection


def condition(
    expression: str, prefixes: Mapping[str | None, str], model: Model, largest: Size, limits: Limits
) -> Callable[[etree._Element], bool]:
    """Return what tells of a tree whether an expression is true of it, as boolean() has it (RFC 5277 section 3.6).

    It is for trees up to the `largest`, of which it may be asked often, so it has to cost less than a filter of <get>.
    It never raises: an expression that turns out to be wrong for a tree is not true of it. Raises as `select` does
    where the expression is wrong in itself.
    """
    whole = _tokens(expression, limits.xpath_characters)
    namespaces = _namespaces(whole, prefixes, model)
    if not affordable([whole], largest, limits.subscription_xpath_work):
        raise _too_much("the XPath expression asks for too much work")
    functions = Functions(model, prefixes, limits.subscription_xpath_work)
    try:
        evaluate = _compiled(whole, namespaces, functions)
        evaluate(model.empty())  # what is wrong with functions and variables shows only now
    except etree.XPathError as error:
        raise invalid(f"the XPath expression cannot be evaluated: {error}") from None

    def is_true(tree: etree._Element) -> bool:
        functions.renew()
        try:
            result = evaluate(tree)
        except (etree.XPathError, NetconfError):
            return False
        return bool(result) and result == result  # NaN is not true

    return is_true


def _tokens(expression: str, longest: int) -> list[Token]:
    if len(expression) > longest:
        raise _too_much(f"an XPath expression has at most {longest} characters")
    return prepared(list(tokens(expression)))


def _compiled(path: Sequence[Token], namespaces: dict[str, str], functions: Functions) -> etree.XPath:
    try:
        return etree.XPath(_below_data(path), namespaces=namespaces, extensions=functions.extensions, regexp=False)
    except ValueError:
        raise invalid("not an XPath expression: it has characters that XML has not") from None


def _evaluated(
    path: Sequence[Token], namespaces: dict[str, str], functions: Functions, tree: etree._Element
) -> Sequence[object]:
    try:
        result = _compiled(path, namespaces, functions)(tree)
    except etree.XPathError as error:
        raise invalid(f"the XPath expression cannot be evaluated: {error}") from None
    if not isinstance(result, list):
        raise invalid("the XPath expression does not select nodes")
    return result


def _choose(selection: Selection, nodes: Iterable[object]) -> None:
    for node in nodes:
        # Text and attributes come as strings that know their element; namespace nodes, as pairs, choose nothing.
        element = node.getparent() if isinstance(node, etree._ElementUnicodeResult) else node
        if isinstance(element, etree._Element):
            selection.add(element)


def _below_data(path: Sequence[Token]) -> str:
    """Return the expression with every absolute path starting at the element that holds the top-level nodes."""
    pieces: list[str] = []
    for token, following in zip_longest(path, path[1:]):
        if token.kind != "root":
            pieces.append(token.text)
        elif token.text == "//" or (following is not None and _starts_step(following)):
            pieces.append(f"/*{token.text}")
        else:
            pieces.append("/*")
    return " ".join(pieces)


def _starts_step(token: Token) -> bool:
    return token.kind == "name" or (token.kind == "symbol" and token.text in ("*", "@", ".", ".."))


def _namespaces(whole: Iterable[Token], prefixes: Mapping[str | None, str], model: Model) -> dict[str, str]:
    """Return a namespace for each prefix in use: the client's, a module's prefix, a module's name, in this order."""
    used = {token.text.partition(":")[0] for token in whole if token.kind == "name" and ":" in token.text}
    by_prefix = {module.prefix: module.namespace for module in model.modules}
    by_name = {module.name: module.namespace for module in model.modules}
    namespaces: dict[str, str] = {}
    for prefix in used:
        namespace = prefixes.get(prefix) or by_prefix.get(prefix) or by_name.get(prefix)
        if namespace is None:
            raise invalid(f"the prefix {prefix!r} of the XPath expression is neither declared nor a module's")
        namespaces[prefix] = namespace
    return namespaces


def _too_much(message: str) -> ResourceDenied:
    return ResourceDenied(message, type=ErrorType.PROTOCOL)

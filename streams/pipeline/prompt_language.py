"""The part of Jinja2 that prompt templates are written in, checked on the syntax tree when the file is read.

The language is small so that its cost is known. An expression takes a time linear in the event: nothing can be
assigned or called, filters take constants, and a loop sees only its own variables. The one thing left to limit
while a template is rendered is the size of its output.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

BLOCKS: Final = ("system", "user")
VARIABLES: Final = ("text", "data", "image", "knowledge", "labels", "reason", "attempt")
STATEMENTS: Final = ("block", "if", "for")
LIST_FILTERS: Final = ("dictsort", "items", "sort")
"""Filters that a loop may go over."""
FILTERS: Final = (
    "capitalize", "default", "first", "fenced", "join", "last", "length", "lower", "round", "title", "tojson", "trim",
    "truncate", "upper", *LIST_FILTERS,
)  # fmt: skip
TESTS: Final = ("defined", "mapping", "none", "number", "sequence", "string", "undefined")
ONCE: Final = ("fenced", "join", "tojson")
"""Filters that make text longer. Each is used once in a chain, for their growth would multiply."""
LOOP_FIELDS: Final = ("first", "index", "index0", "last", "length")
MAX_CONSTANT: Final = 100
"""Characters of a filter's argument."""
MAX_NUMBER: Final = 600_000
MAX_DIGITS: Final = 100
"""The largest argument of `round`, which computes a power of ten with as many digits."""
MAX_EXPRESSIONS: Final = 1_000

_FOREIGN: Final = frozenset({"text", "data", "reason", "attempt"})
"""Variables that a producer or another model wrote."""
_OWN_FIELDS: Final = {
    "attempt": frozenset({"status", "confidence", "raw_confidence", "handler", "tier"}),
    "loop": frozenset(LOOP_FIELDS),
}
"""Fields that escalon fills in itself."""
_COMMANDS: Final[dict[type[nodes.Node], str]] = {
    nodes.Assign: "set", nodes.AssignBlock: "set", nodes.CallBlock: "call", nodes.FilterBlock: "filter",
    nodes.FromImport: "from", nodes.ScopedEvalContextModifier: "autoescape",
}  # fmt: skip
_REMEDIES: Final[tuple[tuple[type[nodes.Node] | tuple[type[nodes.Node], ...], str, str], ...]] = (
    (nodes.Call, "a call", "Use a filter: `text | lower`, `data | items`, `data.x | default('')`."),
    (nodes.Concat, "the operator ~", "Print the parts one after the other."),
    (nodes.Slice, "a slice", "Use the filter truncate, first or last."),
    (
        (nodes.BinExpr, nodes.UnaryExpr),
        "arithmetic",
        "Compute the value before the event is published, or in a Python handler.",
    ),
    ((nodes.List, nodes.Tuple), "a list of values that are not constants", "Compare with each value by itself."),
    (nodes.Dict, "a mapping", "Print the values one by one."),
)


class NotAllowedError(Exception):
    """A template uses something that the language does not have: `what`, in a `line`, with a `remedy`."""

    def __init__(self, what: str, line: int, remedy: str) -> None:
        super().__init__(what)
        self.what, self.line, self.remedy = what, line, remedy


@dataclass(frozen=True, slots=True)
class Unfenced:
    """A variable that is printed outside a fence, in a line of the template, counted from 1."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names that may be used at a place in a template."""

    names: frozenset[str]
    foreign: frozenset[str]
    """Names that hold words of a producer or another model."""
    outer: frozenset[str] = frozenset()
    """Names outside the loop."""


def check(template: nodes.Template) -> tuple[Unfenced, ...]:
    """Return the places that print foreign words outside a fence, in the order of the file, once each.

    Raises NotAllowedError for the first thing that is not in the language.
    """
    if len(list(template.find_all(nodes.Expr))) > MAX_EXPRESSIONS:
        raise NotAllowedError(f"More than {MAX_EXPRESSIONS} expressions", 1, "Write a shorter template.")
    scope = _Scope(frozenset(VARIABLES), _FOREIGN)
    found: dict[Unfenced, None] = {}
    for node in template.body:
        if isinstance(node, nodes.Block):
            _check_block(node)
            found |= dict.fromkeys(_statements(node.body, scope))
        elif not (isinstance(node, nodes.Output) and _is_blank(node)):
            _check_statement(node)
            raise NotAllowedError("Text outside the blocks", _line(node), "Move it into the block system or user.")
    return tuple(sorted(found, key=lambda one: one.line))


def _check_block(block: nodes.Block) -> None:
    if block.name not in BLOCKS or block.scoped or block.required:
        raise NotAllowedError(f"The block {block.name}", block.lineno, "Use {% block system %} and {% block user %}.")


def _is_blank(output: nodes.Output) -> bool:
    return all(isinstance(one, nodes.TemplateData) and not one.data.strip() for one in output.nodes)


def _line(node: nodes.Node) -> int:
    """Return the line of a node; that of a text's first word."""
    first = node.nodes[0] if isinstance(node, nodes.Output) else node
    if isinstance(first, nodes.TemplateData):
        return first.lineno + first.data[: len(first.data) - len(first.data.lstrip())].count("\n")
    return first.lineno


def _check_statement(node: nodes.Node) -> None:
    if isinstance(node, nodes.Scope):  # which jinja2 puts around `autoescape`, without a line
        node = node.body[0]
    if not isinstance(node, (nodes.Output, nodes.If, nodes.For)):
        name = _COMMANDS.get(type(node), type(node).__name__.lower())
        remedy = "Put the blocks side by side." if name == "block" else f"Use one of: {', '.join(STATEMENTS)}."
        raise NotAllowedError(f"The statement {name}", node.lineno, remedy)


def _statements(body: Iterable[nodes.Node], scope: _Scope) -> Iterator[Unfenced]:
    for node in body:
        _check_statement(node)
        match node:
            case nodes.Output():
                for one in node.nodes:
                    if not isinstance(one, nodes.TemplateData):
                        _check_expression(one, scope)
                        yield from (Unfenced(name, one.lineno) for name in _words(one, scope))
            case nodes.If():
                _check_expression(node.test, scope)
                yield from _statements([*node.body, *node.elif_, *node.else_], scope)
            case nodes.For():
                yield from _loop(node, scope)


def _loop(loop: nodes.For, scope: _Scope) -> Iterator[Unfenced]:
    if loop.recursive:
        raise NotAllowedError("A recursive loop", loop.lineno, "Write a loop inside the loop for each level.")
    _check_list(loop.iter)
    _check_expression(loop.iter, scope)
    targets = loop.target.items if isinstance(loop.target, nodes.Tuple) else [loop.target]
    names = frozenset(one.name for one in targets if isinstance(one, nodes.Name))
    if len(names) < len(targets):
        raise NotAllowedError("A loop over nested names", loop.lineno, "Write {% for name in list %}.")
    if taken := names & {*scope.names, *scope.outer, "loop"}:
        raise NotAllowedError(f"A loop over the name {min(taken)}", loop.lineno, "Give the item a name of its own.")
    foreign = names if any(_words(loop.iter, scope)) else frozenset()
    inner = _Scope(names, foreign, scope.outer | scope.names)
    if loop.test is not None:
        if any(one.name == "loop" for one in loop.test.find_all(nodes.Name)):
            remedy = "Put {% if … %} inside the loop."
            raise NotAllowedError("The variable loop in the condition of its own loop", loop.lineno, remedy)
        _check_expression(loop.test, inner)
    yield from _statements(loop.body, inner)
    yield from _statements(loop.else_, scope)


def _check_list(node: nodes.Node) -> None:
    """Refuse loops over longer text than the event's: a loop in a loop would multiply the growth."""
    while isinstance(node, nodes.Filter) and node.name in LIST_FILTERS and node.node is not None:
        node = node.node
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        node = node.node
    if not isinstance(node, nodes.Name):
        remedy = f"Loop over a variable, a field of one, or either with a filter of {', '.join(LIST_FILTERS)}."
        raise NotAllowedError("A loop over such an expression", node.lineno, remedy)


def _check_expression(node: nodes.Node, scope: _Scope) -> None:
    """Raise NotAllowedError for what an expression must not hold. Every node type that is not named here is refused."""
    match node:
        case nodes.Name():
            _check_name(node, scope)
        case nodes.Getattr():
            _check_field(node, scope)
        case nodes.Getitem() if _is_constant(node.arg):
            _check_expression(node.node, scope)
        case nodes.Filter():
            _check_filter(node, scope)
        case nodes.Test():
            _check_one_of("test", node.name, TESTS, node.lineno)
            _check_arguments(node)
            _check_expression(node.node, scope)
        case nodes.And() | nodes.Or() | nodes.Not() | nodes.Compare() | nodes.Operand() | nodes.CondExpr():
            for child in node.iter_child_nodes():
                _check_expression(child, scope)
        case _ if not _is_constant(node):
            _refuse(node)


def _refuse(node: nodes.Node) -> None:
    if isinstance(node, nodes.Getitem):
        if isinstance(node.arg, nodes.Slice):
            _refuse(node.arg)
        raise NotAllowedError("An index that is not a constant", node.lineno, "Loop over the list or over `| items`.")
    for kinds, what, remedy in _REMEDIES:
        if isinstance(node, kinds):
            raise NotAllowedError(what.capitalize(), node.lineno, remedy)
    raise NotAllowedError(
        f"The expression {type(node).__name__}", node.lineno, f"Print one of: {', '.join(VARIABLES)}."
    )


def _is_constant(node: nodes.Node) -> bool:
    match node:
        case nodes.Const():
            return True
        case nodes.Neg(node=nodes.Const(value=int() | float())):
            return True
        case nodes.List() | nodes.Tuple():
            return all(map(_is_constant, node.items))
    return False


def _check_name(node: nodes.Name, scope: _Scope) -> None:
    if node.name in scope.names:
        return
    if node.name in scope.outer:
        remedy = f"A loop sees only its own {', '.join(sorted(scope.names))}. Use {node.name} before or after it."
        raise NotAllowedError(f"The variable {node.name} inside a loop", node.lineno, remedy)
    _check_one_of("variable", node.name, sorted(scope.names), node.lineno)


def _check_field(node: nodes.Getattr, scope: _Scope) -> None:
    if scope.outer and isinstance(node.node, nodes.Name) and node.node.name == "loop":
        _check_one_of("field of loop", node.attr, LOOP_FIELDS, node.lineno)
    else:
        _check_expression(node.node, scope)


def _check_filter(node: nodes.Filter, scope: _Scope) -> None:
    _check_one_of("filter", node.name, FILTERS, node.lineno)
    _check_arguments(node)
    if node.node is None:
        raise NotAllowedError(f"The filter {node.name} without a value", node.lineno, f"Write `text | {node.name}`.")
    inner = [node.node, *node.node.find_all(nodes.Filter)]
    if node.name in ONCE and any(isinstance(one, nodes.Filter) and one.name == node.name for one in inner):
        raise NotAllowedError(f"The filter {node.name} on its own result", node.lineno, "Use it once.")
    if node.name != "length" and any(isinstance(one, nodes.Filter) and one.name == "fenced" for one in inner):
        remedy = f"It could break the fence's marks. Write `text | {node.name} | fenced`."
        raise NotAllowedError(f"The filter {node.name} after fenced", node.lineno, remedy)
    _check_expression(node.node, scope)


def _check_arguments(node: nodes.Filter | nodes.Test) -> None:
    largest = MAX_DIGITS if node.name == "round" else MAX_NUMBER
    arguments = [*node.args, *(one.value for one in node.kwargs)]
    if node.dyn_args or node.dyn_kwargs or not all(_is_short_constant(one, largest) for one in arguments):
        what = f"An argument of {node.name} that is not a short constant"
        remedy = f"Write a text of at most {MAX_CONSTANT} characters or a number from 0 to {largest}."
        raise NotAllowedError(what, node.lineno, remedy)


def _is_short_constant(node: nodes.Node, largest: int) -> bool:
    match node:
        case nodes.Const(value=str() as text):
            return len(text) <= MAX_CONSTANT
        case nodes.Const(value=bool() | None):
            return True
        case nodes.Const(value=int() | float() as number):
            return 0 <= number <= largest
    return False


def _check_one_of(kind: str, name: str, known: Iterable[str], line: int) -> None:
    listed = list(known)
    if name not in listed:
        near = difflib.get_close_matches(name, listed, n=1)
        remedy = f"Did you mean {near[0]}? " if near else ""
        raise NotAllowedError(f"The {kind} {name}", line, f"{remedy}Use one of: {', '.join(listed)}.")


def _words(node: nodes.Node, scope: _Scope) -> Iterator[str]:
    """Yield the variables whose foreign words an expression's value may hold."""
    match node:
        case nodes.Name():
            if node.name in scope.foreign:
                yield node.name
        case nodes.Getattr(node=nodes.Name(name=name), attr=field) if field in _OWN_FIELDS.get(name, ()):
            return
        case nodes.Filter(name="fenced" | "length") | nodes.Compare() | nodes.Not() | nodes.Test():
            return
        case nodes.CondExpr():
            for branch in (node.expr1, node.expr2):
                if branch is not None:
                    yield from _words(branch, scope)
        case _:
            for child in node.iter_child_nodes():
                yield from _words(child, scope)

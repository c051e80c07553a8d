"""The sandbox that prompt templates run in. It is closed, and small.

Only the filters, methods and statements that are listed here may be used. Each pays for its work before it does it, so
that a rendering ends within MAX_WORK whatever numbers and words an event has: a character that is read or made is 1,
an item of a list 10, a node of the syntax tree 8 in each pass of a loop and each call of a macro.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized, ValuesView
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from types import BuiltinMethodType, MethodType
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_WORK: Final = 10_000_000
"""Characters read and made by one rendering; what else it does counts as characters."""
MAX_BITS: Final = 14_000
"""Of a whole number that a template makes: 4,200 digits."""
MAX_INDENT: Final = 16
MAX_PRECISION: Final = 100
_ITEM: Final = 10
_STEP: Final = 8
_WRITTEN: Final = 12
"""Characters that one inside a list or a mapping may take when it is written out, as `\\ud83d\\ude00`."""
_Cost = Callable[..., int]
_LISTS = (range, AbstractSet, ValuesView)
_NUMBER = re.compile(r"\d+")
_left: ContextVar[int] = ContextVar("left")


@contextmanager
def limited() -> Iterator[None]:
    """MAX_WORK for what is rendered inside."""
    token = _left.set(MAX_WORK)
    try:
        yield
    finally:
        _left.reset(token)


def _pay(amount: int) -> None:
    left = _left.get() - amount
    if left < 0:
        raise SecurityError(f"it makes too much of the event: more than {MAX_WORK} characters, read and made")
    _left.set(left)


def _weight(value: Any, each: int = 1) -> int:
    """The characters of a value with all that is in it; `each` for what one of them may become."""
    if isinstance(value, str):
        return _ITEM + len(value) * each
    total, waiting, left = 0, [value], _left.get()
    while waiting and total <= left:
        one = waiting.pop()
        total += _ITEM
        match one:
            case str():
                total += len(one) * each
            case int():
                total += one.bit_length() // 3
            case list() | tuple():
                total += len(one)
                waiting += one
            case float() | None | Undefined():
                pass
            case Mapping():
                total += 2 * len(one)
                waiting += [*one.keys(), *one.values()]
            case _ if isinstance(one, _LISTS):
                total += len(one)
                waiting += one
            case _ if is_dataclass(one) and not isinstance(one, type):
                inner = fields(one)
                total += sum(len(field.name) for field in inner)
                waiting += [getattr(one, field.name) for field in inner]
            case _:
                raise SecurityError(f"a {type(one).__name__} is neither text, a number nor a list")
    return total


def _text(value: Any) -> str:
    """A value as text, paid for."""
    if isinstance(value, str):
        _pay(len(value))
    else:
        _pay(_weight(value, _WRITTEN))
    return str(value)


def _items(value: Any) -> int:
    return _ITEM * len(value) if isinstance(value, Sized) else _ITEM


# ---- What filters and methods cost: functions of their own arguments. ----------------------------------------------


def _little(*_: Any, **__: Any) -> int:
    return _ITEM


def _of_text(times: int) -> _Cost:
    return lambda value, *_, **__: times * len(_text(value))


def _shallow(value: Any, *arguments: Any, **named: Any) -> int:
    """For each item what the arguments may cost."""
    return _items(value) * _weight([arguments, named])


def _deep(value: Any, *arguments: Any, **named: Any) -> int:
    return _weight(value) + _shallow(value, *arguments, **named)


def _search(value: Any, *arguments: Any, **named: Any) -> int:
    return _weight(value) + _weight([arguments, named])


def _backwards(value: str, sought: Any = None, *_: Any, **named: Any) -> int:
    """Python strips, and searches from the end, in a time that is the product of both lengths."""
    return len(_text(value)) * max(6, len(named.get("sep") or named.get("chars") or sought or ""))


def _wide(value: Any, width: int = 80, *_: Any) -> int:
    return len(_text(value)) + max(0, width)


def _tabs(value: str, tabsize: int = 8) -> int:
    return len(value) + value.count("\t") * max(0, tabsize)


def _indent(value: str, width: int | str = 4, first: bool = False, blank: bool = False) -> int:  # noqa: ARG001
    _pay(6 * len(value))
    return (len(value.splitlines()) + 1) * (len(width) if isinstance(width, str) else max(0, width))


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> int:
    text, old, new = _text(value), _text(old), _text(new)
    found = text.count(old)
    return len(text) + len(new) * (found if count is None or count < 0 else min(found, count))


def _join(value: Iterable[Any], between: Any = "", attribute: Any = None) -> int:
    pieces = sum(_ITEM + len(one) if isinstance(one, str) else _weight(one, _WRITTEN) for one in value)
    return pieces + _items(value) // _ITEM * (len(_text(between)) + _weight(attribute))


def _format(value: Any, *arguments: Any, **named: Any) -> int:
    """The widths it names, and each argument in each of its places."""
    text = _text(value)
    if "*" in text or max(map(len, _NUMBER.findall(text)), default=0) > 4:
        raise SecurityError("a format's width is written out and has at most 4 digits")
    widths = sum(map(int, _NUMBER.findall(text)))
    return widths + text.count("%") * (400 + _weight([arguments, named], _WRITTEN))


def _json(value: Any, indent: int | None = None) -> int:
    if indent is not None and not (isinstance(indent, int) and 0 <= indent <= MAX_INDENT):
        raise SecurityError(f"tojson takes an indent of 0 to {MAX_INDENT}")
    _pay(_weight(value, _WRITTEN))
    return 2 * (indent or 0) * _depths(value)


def _depths(value: Any) -> int:
    """How deep each value inside stands, summed."""
    total, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        total += depth
        inner = one.values() if isinstance(one, Mapping) else one if isinstance(one, (list, tuple)) else ()
        waiting += [(value, depth + 1) for value in inner]
    return total


def _batch(value: Any, count: int, fill_with: Any = None) -> int:  # noqa: ARG001
    return _items(value) + _ITEM * max(0, count)


def _sum(value: Any, attribute: Any = None, start: Any = 0) -> int:
    if not isinstance(start, (int, float)):
        raise SecurityError("sum adds numbers")
    return _deep(value, attribute)


def _round(value: Any, precision: int = 0, method: str = "common") -> int:  # noqa: ARG001
    if abs(precision) > MAX_PRECISION:
        raise SecurityError(f"a number is rounded to {MAX_PRECISION} places at most")
    return _ITEM


def _int(value: Any, default: Any = 0, base: int = 10) -> int:  # noqa: ARG001
    if base != 10 and isinstance(value, str) and len(value) * 4 > MAX_BITS:
        raise SecurityError("the number is too long")
    return _weight(value)


_FILTERS: Final[dict[str, _Cost]] = {
    **dict.fromkeys(("abs", "count", "d", "default", "filesizeformat", "first", "last", "length"), _little),
    **dict.fromkeys(("items", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr"), _shallow),
    **dict.fromkeys(("dictsort", "groupby", "max", "min", "sort", "unique"), _deep),
    **dict.fromkeys(("capitalize", "lower", "string", "upper"), _of_text(3)),
    **dict.fromkeys(("e", "escape", "fenced", "title", "wordcount"), _of_text(6)),
    "batch": _batch,
    "center": _wide,
    "float": _search,
    "format": _format,
    "indent": _indent,
    "int": _int,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "slice": _batch,
    "sum": _sum,
    "tojson": _json,
    "trim": _backwards,
    "truncate": _search,
    "urlencode": lambda value: _weight(value, _WRITTEN),
}
_TEXT_METHODS: Final[dict[str, _Cost]] = {
    **dict.fromkeys(
        (
            "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower",
            "isnumeric", "isspace", "istitle", "isupper", "partition", "removeprefix", "removesuffix", "startswith",
        ),
        _search,
    ),
    **dict.fromkeys(("capitalize", "casefold", "lower", "swapcase", "title", "upper"), _of_text(3)),
    **dict.fromkeys(("split", "splitlines"), lambda value, *rest, **named: 6 * _search(value, *rest, **named)),
    **dict.fromkeys(("lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip"), _backwards),
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _wide),
    "expandtabs": _tabs,
    "join": lambda between, value: _weight(value) + _join(value, between),
    "replace": _replace,
}  # fmt: skip
_METHODS: Final[tuple[tuple[Any, dict[str, _Cost]], ...]] = (
    (str, _TEXT_METHODS),
    (Mapping, {"get": lambda _, *arguments: _weight(arguments), **dict.fromkeys(("items", "keys", "values"), _little)}),
    ((list, tuple), dict.fromkeys(("count", "index"), _search)),
    (LoopContext, {"cycle": _little, "changed": lambda _, *values: _weight(values)}),
)
_GLOBALS: Final = ("dict", "namespace", "range")
_COMPARING: Final = frozenset(
    {"in", "lower", "upper"}
    | {name for name, test in TESTS.items() if getattr(test, "__module__", "") == "_operator" and name != "callable"}
)
"""Tests that look at all of a value."""
_STATEMENTS: Final = (
    nodes.Assign, nodes.AssignBlock, nodes.Block, nodes.CallBlock, nodes.FilterBlock, nodes.For, nodes.If, nodes.Macro,
    nodes.Output, nodes.Scope, nodes.With,
)  # fmt: skip
_NAMES: Final = {"FromImport": "from", "ScopedEvalContextModifier": "autoescape"}

FILTERS_ALLOWED: Final = tuple(sorted(_FILTERS))
METHODS_ALLOWED: Final = tuple(sorted({name for _, methods in _METHODS for name in methods}))
STATEMENTS_ALLOWED: Final = ("block", "call", "filter", "for", "if", "macro", "set", "with")


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What a template may not use, in a line of it, and what it may use instead."""

    what: str
    line: int
    allowed: tuple[str, ...]


def forbidden(template: nodes.Template) -> Forbidden | None:
    """The first thing in a template that is not on a list."""
    for node in template.find_all((nodes.Stmt, nodes.Expr)):
        match node:
            case nodes.Stmt() if not isinstance(node, _STATEMENTS):
                name = type(node).__name__
                return Forbidden(f"the statement {_NAMES.get(name, name.lower())!r}", node.lineno, STATEMENTS_ALLOWED)
            case nodes.For(recursive=True):
                return Forbidden("a recursive loop", node.lineno, STATEMENTS_ALLOWED)
            case nodes.Filter(name=name) if name not in _FILTERS:
                return Forbidden(f"the filter {name!r}", node.lineno, FILTERS_ALLOWED)
            case nodes.Call(node=nodes.Getattr(attr=name)) if name not in METHODS_ALLOWED:
                return Forbidden(f"the method {name!r}", node.lineno, METHODS_ALLOWED)
    return None


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with what may be used, each at its price."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **filters: Callable[[Any], str]) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_printed
        )
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        inner = {**FILTERS, **filters}
        self.filters = {name: _paid_filter(name, cost) for name, cost in _FILTERS.items()}
        # No name in a template has a space.
        self.filters |= {f" {name}": inner[name] for name in _FILTERS}
        self.filters |= {
            " concat": _concat,
            " passes": _passes,
            " pays": _pays,
            " sliced": _sliced,
            " weighed": _weighed,
        }
        self.tests = {name: _paid_test(name) for name in TESTS} | {f" {name}": test for name, test in TESTS.items()}
        self._callables = (self.globals["range"], Namespace, dict)

    def metered(self, template: nodes.Template) -> nodes.Template:
        """The template, changed so that its loops, macros, comparisons, slices and `~` pay as well."""
        _Meter().visit(template)
        return template.set_environment(self)  # type: ignore[return-value]

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """The pieces that a macro or a block prints, as one."""
        kept = list(pieces)
        _pay(sum(map(len, kept)))
        return "".join(kept)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Work out an operator."""
        _pay(_ITEM + _operation(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, call: Any, /, *arguments: Any, **named: Any) -> Any:
        """Call what is on a list."""
        own = {name: value for name, value in named.items() if name not in ("_loop_vars", "_block_vars")}
        _pay(2 * _ITEM + self._cost(call, arguments, own))
        return super().call(context, call, *arguments, **named)

    def _cost(self, call: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> int:
        if isinstance(call, (Macro, Undefined)):
            return _ITEM
        if any(call is one for one in self._callables):
            return sum(map(_items, arguments)) + _items(named)
        if isinstance(call, (BuiltinMethodType, MethodType)):
            for kind, methods in _METHODS:
                if isinstance(call.__self__, kind) and call.__name__ in methods:
                    return methods[call.__name__](call.__self__, *arguments, **named)
        raise SecurityError(f"{getattr(call, '__name__', type(call).__name__)!r} may not be called")


def _operation(operator: str, left: Any, right: Any) -> int:
    """What an operator costs."""
    numbers = [one for one in (left, right) if isinstance(one, int)]
    if operator == "%" and isinstance(left, str):
        return _format(left, right)
    if operator == "+":
        return _weight(left) + _weight(right) if isinstance(left, str) else _items(left) + _items(right)
    if operator == "*" and len(numbers) == 1:
        return max(0, numbers[0]) * max(_items(one) for one in (left, right) if one is not numbers[0])
    if operator in ("*", "**") and len(numbers) == 2:
        power = operator == "**"
        bits = left.bit_length() * max(0, right) if power else left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise SecurityError(f"a number of more than {MAX_BITS} bits would be made")
    return _weight(left) + _weight(right)


def _paid_filter(name: str, cost: _Cost) -> Any:
    """A filter of jinja2 that pays first. What is not read yet is read for it, and nothing is marked as safe."""

    @pass_context
    def paid(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        _pay(2 * _ITEM)
        if isinstance(value, Iterator):
            value = list(_passes(context, value, 2))
        _pay(cost(value, *arguments, **named))
        made = context.environment.call_filter(f" {name}", value, arguments, named, context)
        return str(made) if isinstance(made, str) else made

    return paid


def _paid_test(name: str) -> Any:
    @pass_context
    def paid(context: Context, value: Any, *arguments: Any, **named: Any) -> bool:
        _pay(2 * _ITEM + (_weight([value, arguments, named]) if name in _COMPARING else 0))
        return bool(context.environment.call_test(f" {name}", value, arguments, named, context))

    return paid


# ---- What the template's own statements pay, as filters that the syntax tree is given. -----------------------------


@pass_context
def _printed(_: Context, value: Any) -> Any:
    if isinstance(value, Undefined):
        return value  # printing it tells its name
    return _text(value)


@pass_context
def _concat(_: Context, values: list[Any]) -> str:
    return "".join(map(_text, values))


@pass_context
def _passes(_: Context, values: Iterable[Any], steps: int) -> Iterator[Any]:
    for value in values:
        _pay(_STEP * steps)
        yield value


@pass_context
def _pays(_: Context, steps: int) -> None:
    _pay(_STEP * steps)


@pass_context
def _sliced(_: Context, value: Any) -> Any:
    _pay(_ITEM + (len(value) if isinstance(value, str) else _items(value)))
    return value


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    if isinstance(value, Iterator):
        value = list(_passes(context, value, 2))
    _pay(_weight(value))
    return value


class _Meter(NodeTransformer):
    """Puts the filters above where they belong."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as the base class calls it
        steps = _size(node)
        self.generic_visit(node)
        node.iter = _filter(" passes", node.iter, nodes.Const(steps, lineno=node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:  # noqa: N802
        steps = nodes.Const(_size(node), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(" pays", steps), lineno=node.lineno))
        return node

    visit_CallBlock = visit_Macro  # noqa: N815

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter(" weighed", node.expr)
        for operand in node.ops:
            operand.expr = _filter(" weighed", operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter(" sliced", node.node)
        return node


def _size(node: nodes.Node) -> int:
    return sum(1 for _ in node.find_all(nodes.Node))


def _filter(name: str, value: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=value.lineno)

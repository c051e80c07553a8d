"""Where a prompt's template puts an event's words outside a fence.

Found in the template's syntax tree, so before any event: names that hold words from outside, what is assigned from
them, and what of them is printed. A name is the same wherever it stands, so it errs on the side of telling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

FOREIGN: Final = frozenset({"text", "data", "reason", "attempt"})
"""The variables that hold what a producer or a model wrote."""
_HARMLESS_FIELDS: Final = {
    "attempt": frozenset({"status", "confidence", "raw_confidence", "handler", "tier"}),
    "loop": frozenset(
        {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "cycle"}
    ),
}
"""Fields that hold nobody's words, of the names that have them."""
_HARMLESS_FILTERS: Final = frozenset({"fenced", "length", "count"})
_HARMLESS_CALLS: Final = frozenset({"namespace", "dict", "range"})
"""Calls that hand their arguments to no part of a template."""
_Flow = tuple[Sequence[nodes.Node], Sequence[nodes.Node]]
"""Names, and the expressions they may take a value from."""


@dataclass(frozen=True, slots=True)
class Unfenced:
    """A variable that is printed outside a fence, in a line of the template, counted from 1."""

    name: str
    line: int


def unfenced(template: nodes.Template) -> tuple[Unfenced, ...]:
    """Every place where foreign words are printed as they are, once each, in the order of the file."""
    words = _Words(template)
    found = {Unfenced(name, one.lineno): None for one in _printed(template) for name in words.of(one)}
    return tuple(sorted(found, key=lambda one: one.line))


def _printed(node: nodes.Node) -> Iterator[nodes.Node]:
    """The expressions whose values a template prints; what a block's filter fences is not among them."""
    if isinstance(node, nodes.Output):
        yield from node.nodes
    if isinstance(node, (nodes.FilterBlock, nodes.AssignBlock)) and node.filter is not None:
        if any(one.name in _HARMLESS_FILTERS for one in (node.filter, *node.filter.find_all(nodes.Filter))):
            return
        yield node.filter
    for child in node.iter_child_nodes():
        yield from _printed(child)


class _Words:
    """The names of a template that hold foreign words."""

    def __init__(self, template: nodes.Template) -> None:
        self._called: dict[str, list[nodes.Macro | nodes.CallBlock]] = {"caller": [*template.find_all(nodes.CallBlock)]}
        for macro in template.find_all(nodes.Macro):
            self._called.setdefault(macro.name, []).append(macro)
        flows = list(self._flows(template))
        self._assigned = {name.name for name in template.find_all(nodes.Name) if name.ctx != "load"}
        self._tainted: frozenset[str] = FOREIGN
        while more := {name for flow in flows for name in self._reached(flow)} - self._tainted:
            self._tainted |= more

    def of(self, node: nodes.Node) -> Iterator[str]:
        """The names whose words an expression's value may hold."""
        match node:
            case nodes.Name() if node.name in self._tainted:
                yield node.name
            case nodes.Filter() if node.name in _HARMLESS_FILTERS:
                return
            case nodes.Getattr(node=nodes.Name(name=name), attr=attr) if self._is_harmless(name, attr):
                return
            case nodes.Call(node=nodes.Name(name=name)) if name in self._called and name not in self._tainted:
                return  # what a macro prints is looked at where it prints it
            case nodes.Compare() | nodes.Not() | nodes.Test():
                return
            case nodes.CondExpr():
                for branch in (node.expr1, node.expr2):
                    if branch is not None:
                        yield from self.of(branch)
            case _:
                for child in node.iter_child_nodes():
                    yield from self.of(child)

    def _is_harmless(self, name: str, field: str) -> bool:
        return name not in self._assigned and field in _HARMLESS_FIELDS.get(name, ())

    def _reached(self, flow: _Flow) -> Iterator[str]:
        targets, sources = flow
        if any(any(self.of(source)) for source in sources):
            for target in targets:
                yield from _targets(target)

    def _flows(self, template: nodes.Template) -> Iterator[_Flow]:
        for one in template.find_all(nodes.Assign):
            yield [one.target], [one.node]
        for block in template.find_all(nodes.AssignBlock):
            yield [block.target], [block.filter] if block.filter is not None else []
        for loop in template.find_all(nodes.For):
            yield [loop.target, nodes.Name("loop", "store")], [loop.iter]
        for scope in template.find_all(nodes.With):
            for target, value in zip(scope.targets, scope.values, strict=True):
                yield [target], [value]
        for macros in self._called.values():
            for macro in macros:
                yield from (([name], [value]) for name, value in _defaults(macro))
        for call in template.find_all(nodes.Call):
            yield self._parameters(call), list(call.iter_child_nodes(exclude=("node",)))

    def _parameters(self, call: nodes.Call) -> list[nodes.Node]:
        """The names that a call may fill: those of the macro it names, or of every one where it names none."""
        name = call.node.name if isinstance(call.node, nodes.Name) else None
        if name in _HARMLESS_CALLS or name is None:
            return []
        macros = self._called.get(name) or [one for many in self._called.values() for one in many]
        rest = [nodes.Name(name, "store") for name in ("varargs", "kwargs")]
        return [*(argument for macro in macros for argument in macro.args), *rest]


def _defaults(macro: nodes.Macro | nodes.CallBlock) -> Iterator[tuple[nodes.Node, nodes.Node]]:
    """The parameters that have a default, with it; they are the last ones."""
    if macro.defaults:
        yield from zip(macro.args[-len(macro.defaults) :], macro.defaults, strict=True)


def _targets(target: nodes.Node) -> Iterator[str]:
    """The names that are assigned to; of a field, the name that has it."""
    for one in (target, *target.find_all(nodes.Expr)):
        if isinstance(one, (nodes.Name, nodes.NSRef)):
            yield one.name

"""Where a prompt's template puts an event's words outside a fence.

Found in the template's syntax tree, so before any event: names that hold words from outside, what is assigned from
them, and what of them is printed. It errs on the side of telling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

FOREIGN: Final = frozenset({"text", "data", "reason", "attempt"})
"""The variables that hold what a producer or a model wrote."""
_HARMLESS_FIELDS: Final = frozenset({"status", "confidence", "raw_confidence", "handler", "tier"})
_HARMLESS_FILTERS: Final = frozenset({"fenced", "length", "count"})


@dataclass(frozen=True, slots=True)
class Unfenced:
    """A variable that is printed outside a fence, in a line of the template, counted from 1."""

    name: str
    line: int


def unfenced(template: nodes.Template) -> tuple[Unfenced, ...]:
    """Every place where foreign words are printed as they are, once each, in the order of the file."""
    tainted = _tainted(template)
    found = {
        Unfenced(name, one.lineno): None
        for output in template.find_all(nodes.Output)
        for one in output.nodes
        for name in _names(one, tainted)
    }
    return tuple(sorted(found, key=lambda one: one.line))


def _tainted(template: nodes.Template) -> frozenset[str]:
    """FOREIGN, and every name that is assigned from one of them, or goes through one."""
    tainted = FOREIGN
    while True:
        assigned = [(one.target, one.node) for one in template.find_all(nodes.Assign)]
        looped = [(one.target, one.iter) for one in template.find_all(nodes.For)]
        more = {
            name.name
            for target, source in assigned + looped
            if any(_names(source, tainted))
            for name in _targets(target)
        }
        if more <= tainted:
            return tainted
        tainted |= more


def _targets(target: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(target, nodes.Name):
        yield target
    yield from target.find_all(nodes.Name)


def _names(node: nodes.Node, tainted: frozenset[str]) -> Iterator[str]:
    """The tainted names whose words an expression's value may hold."""
    match node:
        case nodes.Name() if node.name in tainted:
            yield node.name
        case nodes.Filter() if node.name in _HARMLESS_FILTERS:
            return
        case nodes.Getattr() if node.attr in _HARMLESS_FIELDS:
            return
        case nodes.Compare() | nodes.Not() | nodes.Test():
            return
        case nodes.CondExpr():
            for branch in (node.expr1, node.expr2):
                if branch is not None:
                    yield from _names(branch, tainted)
        case _:
            for child in node.iter_child_nodes():
                yield from _names(child, tainted)

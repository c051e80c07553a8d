"""Turn the listeners' findings into one verdict: a combining rule, then a lookup table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.messages import Action, Finding

CombineRule = Literal["first", "most-confident", "vote"]

UNSURE = "unsure"
"""The intent of an event for which no listener found a label."""
NONE = "none"
"""A router's label for an event that no handler answers."""
DUPLICATE = "duplicate"
"""The intent of an event that repeats an earlier one. Without a route of its own it ends there."""


@dataclass(frozen=True, slots=True)
class Route:
    """The target of an intent: an action, and for `work` and `reason` the handler's name."""

    action: Action
    handler: str = ""


@dataclass(frozen=True, slots=True)
class RouteChoice:
    """The combined findings: every intent, the deciding one first, and the route."""

    intents: tuple[str, ...]
    confidence: float | None
    route: Route
    duplicate_of: str | None = None


def choose(findings: Sequence[Finding], rule: CombineRule, routes: Mapping[str, Route]) -> RouteChoice:
    """Choose one route for one event.

    A duplicate comes first. Otherwise `rule` ranks the findings that have a label. The table gives the route of the
    first one. An intent that the table does not name is routed as `unsure`.
    """
    ranked = COMBINE[rule]([finding for finding in findings if finding.label is not None])
    ranked.sort(key=lambda finding: finding.label != DUPLICATE)
    if not ranked:
        return RouteChoice((UNSURE,), None, routes[UNSURE])
    labels = tuple(dict.fromkeys(str(finding.label) for finding in ranked))
    route = routes.get(labels[0], Route("duplicate") if labels[0] == DUPLICATE else routes[UNSURE])
    return RouteChoice(labels, ranked[0].confidence, route, ranked[0].duplicate_of)


def deciding(findings: Sequence[Finding], intent: str) -> Finding | None:
    """Return the finding that decided the route: the first with the intent, else the first of all."""
    return next((finding for finding in findings if finding.label == intent), next(iter(findings), None))


def _first(findings: list[Finding]) -> list[Finding]:
    return list(findings)


def _most_confident(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=_confidence, reverse=True)


def _vote(findings: list[Finding]) -> list[Finding]:
    votes = Counter(finding.label for finding in findings)
    return sorted(findings, key=lambda finding: (votes[finding.label], _confidence(finding)), reverse=True)


def _confidence(finding: Finding) -> float:
    return 0.0 if finding.confidence is None else finding.confidence


COMBINE: dict[CombineRule, Callable[[list[Finding]], list[Finding]]] = {
    "first": _first,  # the order of the pipeline file
    "most-confident": _most_confident,  # ties keep the file's order
    "vote": _vote,  # the most frequent label, ties by confidence
}

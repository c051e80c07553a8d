"""The pipeline as places and the ways between them: what its file says of each place, and what the audit counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.core.routing import DUPLICATE, UNSURE, Route
from streams.pipeline import spec as s
from streams.pipeline.handlers import Handler, PromptSpec
from streams.pipeline.load import Pipeline
from streams.ui.operator.place_counts import PlaceCounts, events_in_words
from streams.ui.operator.wording import count, percent, usd

END, FAILED = "outcome answered", "outcome failed"
ENDS: Final[Mapping[str, str]] = {"ignore": "outcome ignored", "duplicate": "outcome duplicate"}
"""The outcome of an event whose route ends it."""
OUTCOMES: Final = ("answered", "ignored", "duplicate", "failed")
ROUTES: Final[Mapping[str, str]] = {
    "ignore": "ends here, no model asked",
    "duplicate": "ends here, seen before",
    "work": "",
    "reason": "past the workers: {}",
}
"""The meaning of a route for its intent."""
LETTERS: Final = "outcome dead letters"
KINDS: Final[Mapping[str, str]] = {
    "": "",
    "escalates": "refused, unsure or failed",
    "fails": "refused or failed for good",
    "nothing": "no listener found a label",
}
"""The reason why an event takes a way, by the way's kind."""


class Way(NamedTuple):
    """A way to another place, by its key."""

    key: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One box: a handler, an intent or an outcome. `key` is its kind and name."""

    key: str
    tier: str
    title: str
    lines: tuple[str, ...] = ()
    counted: str = ""
    """The audit's figures, in words; empty without any."""
    next: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureColumn:
    """The places of one step, with a heading."""

    title: str
    note: str
    places: tuple[Place, ...]


def picture_of(pipeline: Pipeline, counts: PlaceCounts, dead_letters: int) -> tuple[PictureColumn, ...]:
    """Return the columns, from listeners to outcomes."""
    listeners, workers, reasoners = (
        _handlers(pipeline, one.values(), counts) for one in (pipeline.listeners, pipeline.workers, pipeline.reasoners)
    )
    intents = tuple(_intent(name, route, counts) for name, route in pipeline.routes.items())
    outcomes = [_outcome(name, counts) for name in OUTCOMES]
    kept = "1 message" if dead_letters == 1 else f"{count(dead_letters)} messages"
    letters = Place(
        key=LETTERS,
        tier="outcome",
        title="dead letters",
        lines=("what cannot be read or handled, at any tier",),
        counted=kept,
    )
    return (
        PictureColumn("Listeners", _budget(pipeline, "listener"), listeners),
        PictureColumn("Verdicts", f"of several findings: {pipeline.combine}", intents),
        PictureColumn("Workers", _budget(pipeline, "worker"), workers),
        PictureColumn("Reasoners", _budget(pipeline, "reasoner"), reasoners),
        PictureColumn("Outcomes", "one for each event", (*outcomes, letters)),
    )


def _handlers(pipeline: Pipeline, handlers: Iterable[Handler], counts: PlaceCounts) -> tuple[Place, ...]:
    return tuple(
        Place(
            key=f"{handler.tier} {handler.name}",
            tier=handler.tier,
            title=handler.name,
            lines=tuple(_lines(pipeline, handler)),
            counted=counts.words(handler.tier, handler.name),
            next=_after(pipeline, handler),
        )
        for handler in handlers
    )


def _after(pipeline: Pipeline, handler: Handler) -> tuple[Way, ...]:
    """Return the ways from a handler. A worker's answers end, and what it escalates goes to its reasoner."""
    if handler.tier == "worker":
        reasoner = pipeline.reasoner_of(handler.name)
        return Way(END), Way(f"reasoner {reasoner.name}", "escalates") if reasoner else Way(FAILED, "fails")
    if handler.tier == "reasoner":
        return Way(END), Way(FAILED, "fails")
    found = tuple(Way(f"intent {name}") for name in pipeline.routes if name in _labels(pipeline, handler))
    return (*found, Way(f"intent {UNSURE}", "nothing"))


def _labels(pipeline: Pipeline, handler: Handler) -> frozenset[str]:
    """Return the labels that a listener can find. One whose file does not say so may find what no other names."""
    stated = {name: _stated(one) for name, one in pipeline.listeners.items()}
    others = frozenset(pipeline.routes).difference({UNSURE}, *stated.values())
    return stated[handler.name] or others


def _stated(handler: Handler) -> frozenset[str]:
    item = handler.spec
    match item:
        case s.RulesListener():
            return frozenset(item.rules)
        case s.LanguageModelListener():
            return frozenset(item.labels)
        case s.ImageDuplicateListener():
            return frozenset({DUPLICATE})
        case _:
            return frozenset()


def _lines(pipeline: Pipeline, handler: Handler) -> Iterator[str]:
    item = handler.spec
    yield _asks(pipeline, handler)
    if isinstance(item, PromptSpec) and item.fallback:
        yield f"fallback {_model(pipeline, item.fallback)}"
    if handler.tier == "reasoner":
        return
    config = handler.confidence
    threshold = config.current_threshold.threshold if config is not None else handler.threshold
    if config is not None and config.artifact is not None:
        yield f"threshold {threshold or 0:.3g}, calibrated"
    elif threshold is not None:
        yield f"threshold {threshold:g} by {', '.join(config.sources)}" if config else f"threshold {threshold:g}"
    elif handler.tier == "worker":
        yield "no threshold: accepts every answer"
    if config is not None and config.explore:
        yield f"explores {percent(config.explore)} of its answers"


def _asks(pipeline: Pipeline, handler: Handler) -> str:
    item = handler.spec
    if isinstance(item, PromptSpec) and item.model is not None:
        return _model(pipeline, item.model)
    if handler.function is not None:
        return f"function {handler.function}"
    return getattr(item, "kind", "").replace("-", " ")


def _model(pipeline: Pipeline, key: str) -> str:
    model = pipeline.spec.models[key]
    return f"{model.model} ({model.provider})" if model.provider != "claude" else model.model


def _budget(pipeline: Pipeline, tier: str) -> str:
    budget = next((one for name, one in pipeline.spec.budgets.items() if name == tier), None)
    return "no budget" if budget is None else f"budget {usd(budget.usd_per_day)} a day"


def _intent(name: str, route: Route, counts: PlaceCounts) -> Place:
    said = ROUTES[route.action].format(route.handler)
    target = {"work": f"worker {route.handler}", "reason": f"reasoner {route.handler}"}
    return Place(
        key=f"intent {name}",
        tier="intent",
        title=name,
        lines=tuple(line for line in (KINDS["nothing"] if name == UNSURE else "", said) if line),
        counted=events_in_words(counts.events["intent", name]),
        next=(Way(target.get(route.action) or ENDS[route.action]),),
    )


def _outcome(state: str, counts: PlaceCounts) -> Place:
    return Place(
        key=f"outcome {state}", tier="outcome", title=state, counted=events_in_words(counts.events["outcome", state])
    )

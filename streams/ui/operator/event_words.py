"""The story of one event in sentences: what it was, where it went and why, what it cost, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from streams.audit.trace import Trace
from streams.audit.waterfall import bars_of
from streams.core.harmless import one_line
from streams.ui.operator.wording import count, moment, percent, seconds, usd

Row = Mapping[str, Any]
REASON_CHARACTERS: Final = 300
_REPLIED: Final = ("answered", "refused", "invalid")


def story_of(trace: Trace) -> list[str]:
    """Return what happened to an event, one sentence after the other."""
    story = [_event(trace), _verdict(trace)]
    story += [escalation_of(call) for call in trace.calls if call["decision"] == "escalated"]
    story += [exploration_of(call) for call in trace.calls if call["explored"]]
    return [sentence for sentence in (*story, _end(trace), _spent(trace)) if sentence]


def _event(trace: Trace) -> str:
    origin = trace.origin
    if origin is None:
        return "The audit knows this event from dead letters only: no tier could read or handle it."
    kind = trace.verdict["kind"] if trace.verdict is not None else ""
    what = {"text": "A text", "json": "JSON data", "image": "An image"}.get(kind, "An event")
    place = f"{origin['source_topic']}, partition {origin['source_partition']}, offset {origin['source_offset']}"
    return f"{what} of {moment(origin['event_time'])} UTC, on the topic {place}."


def _verdict(trace: Trace) -> str:
    verdict = trace.verdict
    if verdict is None:
        return ""
    intents = ", ".join(verdict["intents"])
    sure = "" if verdict["confidence"] is None else f" with confidence {verdict['confidence']:.3f}"
    found = f"The listeners found {intents}{sure}" if intents else "The listeners found nothing"
    match verdict["action"]:
        case "work":
            return f"{found}, so it went to the worker {verdict['handler']}."
        case "reason":
            return f"{found}, whose route leads to the reasoner {verdict['handler']}."
        case "duplicate":
            return f"{found}: it repeats the event {verdict['duplicate_of']}, so no model was asked."
        case _:
            return f"{found}, so it was ignored, and no worker was asked."


def escalation_of(call: Row) -> str:
    """Return why a call was escalated, with the numbers that decided."""
    who = f"The {call['tier']} {call['handler']}"
    match call["status"]:
        case "refused":
            why = f"refused ({call['refusal_class']}: {_cut(call['refusal_reason'] or 'no reason given')})"
        case "invalid":
            why = f"gave an answer that does not fit its schema ({_cut(call['error'] or call['decision_reason'])})"
        case "failed":
            why = f"failed ({call['error_type']}: {_cut(call['error'] or 'no message')})"
        case _:
            why = f"answered, but {_unsure(call)}"
    return f"{who} {why}. That is why a reasoner was asked."


def _unsure(call: Row) -> str:
    confidence, threshold = call["confidence"], call["threshold"]
    if threshold is None or (confidence is not None and confidence >= threshold):
        return _cut(call["decision_reason"]) or "it was not sure enough"
    if confidence is None:
        return f"its confidence is unknown, and the threshold is {threshold:.3f}"
    under = f"its confidence {_apart(confidence, threshold)} is under the threshold {_apart(threshold, confidence)}"
    sources = [f"{one_line(name)} gave {value:.3f}" for name, value in call["sources"].items()]
    return f"{under} ({', '.join(sources)})" if len(sources) > 1 else under


def exploration_of(call: Row) -> str:
    """Return why the reasoner was asked about an answer that was accepted."""
    share = "" if call["propensity"] is None else f", as {percent(call['propensity'])} of such answers are"
    return (
        f"The answer of {call['handler']} was accepted, and the reasoner was asked as well to learn how often accepted"
        f" answers are wrong{share}."
    )


def _end(trace: Trace) -> str:
    outcome = trace.outcome
    if outcome is None:
        waiting = trace.open_for()
        return f"It is {waiting}." if waiting else f"It ended as {_letters(len(trace.dead_letters))}."
    by = f"the {outcome['tier']} {outcome['handler']}"
    match outcome["state"]:
        case "answered":
            return f"It was answered by {by} at {moment(outcome['settled_at'])} UTC."
        case "failed":
            why = _cut("; ".join(outcome["reasons"]))
            return f"It failed: no tier could answer it{f' ({why})' if why else ''}. Last asked was {by}."
        case state:
            return f"It ended as {state}, by {by}."


def _letters(number: int) -> str:
    return "a dead letter" if number == 1 else f"{number} dead letters"


def _spent(trace: Trace) -> str:
    if not trace.calls:
        return ""
    asked = [call for call in trace.calls if call["tier"] != "listener" and call["status"] in _REPLIED]
    saved = total(call["saved_usd"] for call in trace.calls)
    calls = f"{_calls(len(trace.calls))}, {len(asked)} of them of a worker or reasoner"
    parts = [f"It cost {_cost(trace.calls)} in {calls}"]
    parts += [f"stored answers saved {usd(saved)}"] if saved else []
    took = duration_of(trace)
    parts += [f"from publication to outcome it took {seconds(took)}"] if took is not None else []
    return f"{'; '.join(parts)}."


def _cost(calls: Sequence[Row]) -> str:
    known = [call["cost_usd"] for call in calls if call["cost_usd"] is not None]
    unknown = len(calls) - len(known)
    if not known:
        return "an unknown amount"
    return usd(total(known)) + (f" and the unknown price of {_calls(unknown)}" if unknown else "")


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{count(number)} calls"


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """Return the sum of the amounts that are known."""
    return sum((one for one in amounts if one is not None), Decimal(0))


def duration_of(trace: Trace) -> float | None:
    """Return the seconds from the event's publication to its outcome; None without an outcome or a call.

    An event's own time may be long before: the first call knows how long its message had waited.
    """
    if trace.outcome is None or not trace.calls:
        return None
    published = min(bar.handed for bar in bars_of(trace.calls))
    length: float = (trace.outcome["settled_at"] - published).total_seconds()
    return length if length >= 0 else None


def _cut(text: str) -> str:
    return one_line(text.strip().rstrip("."), REASON_CHARACTERS)


def _apart(value: float, other: float) -> str:
    """Return a number with as many decimals, from three on, as distinguish it from the other one."""
    return next((f"{value:.{digits}f}" for digits in _distinct(value, other)), f"{value!r}")


def _distinct(value: float, other: float) -> Iterator[int]:
    return (digits for digits in range(3, 16) if f"{value:.{digits}f}" != f"{other:.{digits}f}")

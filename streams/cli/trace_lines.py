"""The steps of an event in words: a title and, dimmed, what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from streams.audit.trace import Row, Trace
from streams.cli.console import TIER_COLOURS, usd
from streams.cli.printable import lines, one_line

SHOWN_CHARACTERS = 160
STATUS_COLOURS = {"answered": "green", "refused": "yellow", "invalid": "red", "failed": "red", "ignored": "dim"}


@dataclass(frozen=True, slots=True)
class Show:
    """How much of the texts is shown."""

    full: bool = False

    def text(self, value: str) -> str:
        """A text from outside: in one line and cut, or whole."""
        return lines(value) if self.full else one_line(value, SHOWN_CHARACTERS)


def head_lines(trace: Trace, show: Show) -> list[Text]:
    """The event: its id, its run, when it happened and where it stood."""
    told = [Text(one_line(trace.event_id), "bold").append(f"  in run {one_line(trace.run)}", "not bold")]
    origin = trace.origin
    if origin is not None:
        at = origin["event_time"].isoformat(" ", "milliseconds")
        place = f"{one_line(origin['source_topic'])}[{origin['source_partition']}] at {origin['source_offset']}"
        told += [_dim(at), _dim(f"{place}, trace {one_line(origin['trace_id'])}")]
    if trace.verdict is not None:
        told += _content(trace.verdict, show)
    return told


def _content(verdict: Row, show: Show) -> list[Text]:
    parts = [Text(show.text(verdict["text"]))] if verdict["text"] else []
    parts += [_dim(f"data {show.text(verdict['data'])}")] if verdict["data"] else []
    return parts + ([_dim(f"image {one_line(verdict['image'])}")] if verdict["image"] else [])


def verdict_lines(verdict: Row) -> list[Text]:
    """The verdict and its route."""
    handler = f" → {one_line(verdict['handler'])}" if verdict["handler"] else ""
    title = Text(f"verdict {one_line(verdict['action'])}{handler}", "bold")
    said = [f"intents {one_line(', '.join(verdict['intents']))}"] if verdict["intents"] else []
    said += [_sure("confidence", verdict["confidence"])] if verdict["confidence"] is not None else []
    said += [f"duplicate of {one_line(verdict['duplicate_of'])}"] if verdict["duplicate_of"] else []
    said += [f"deferred {verdict['budget_deferrals']} times"] if verdict["budget_deferrals"] else []
    return [title, *([_dim(", ".join(said))] if said else [])]


def call_lines(call: Row, findings: Mapping[str, Row], show: Show) -> list[Text]:
    """A call: who, how it ended and why, its score, its price and its time, and what it said."""
    title = Text(f"{call['tier']} ", TIER_COLOURS.get(call["tier"], ""))
    title.append(one_line(call["handler"]), "bold default").append(_number(call), "default")
    title.append(f"  {one_line(call['status'])}", STATUS_COLOURS.get(call["status"], ""))
    title.append(f", {one_line(call['decision'])}" if call["tier"] != "listener" else "", "default")
    told = [title, _dim(_asked(call)), _dim(_spent(call))]
    finding = findings.get(call["handler"]) if call["tier"] == "listener" else None
    if finding is not None:
        told.append(Text(_found(finding)))
    elif call["decision_reason"]:
        told.append(Text(f"why: {show.text(call['decision_reason'])}"))
    told += [_dim(text) for text in _scores(call)]
    return told + _said(call, show)


def _number(call: Row) -> str:
    attempt = f" attempt {call['attempt']}" if call["attempt"] > 1 or call["decision"] == "retried" else ""
    return attempt + (f" sample {call['sample']}" if call["sample"] or call["decision"] == "sampled" else "")


def _asked(call: Row) -> str:
    asked = f"{one_line(call['model'])} ({one_line(call['provider'])})"
    if call["reused_from"] is not None:
        return f"{asked}, reused from run {one_line(call['reused_from'])}"
    return f"{asked}, from the store" if call["cache_hit"] else asked


def _spent(call: Row) -> str:
    parts = [usd(call["cost_usd"]) if call["cost_usd"] is not None else "cost unknown"]
    parts += [f"saved {usd(call['saved_usd'])}"] if call["saved_usd"] is not None else []
    if call["input_tokens"] is not None and not call["cache_hit"]:
        parts.append(f"{call['input_tokens']} tokens in, {call['output_tokens'] or 0} out")
    parts += [f"waited {call['queue_seconds']:.3f} s"] if call["queue_seconds"] is not None else []
    if call["duration_seconds"] is not None:
        parts.append(f"{'took then' if call['reused_from'] is not None else 'took'} {call['duration_seconds']:.3f} s")
    return ", ".join(parts)


def _scores(call: Row) -> list[str]:
    if call["tier"] == "listener" or call["confidence"] is None:
        return []
    told = [_sure("confidence", call["confidence"])]
    told += [_sure("raw", call["raw_confidence"])] if call["raw_confidence"] not in (None, call["confidence"]) else []
    told += [_sure("threshold", call["threshold"])] if call["threshold"] is not None else []
    told += [f"calibration {one_line(call['calibration'])}"] if call["calibration"] else []
    told += [f"asked the reasoner as well (1 in {1 / call['propensity']:.0f})"] if call["explored"] else []
    sources = ", ".join(_sure(one_line(name), value) for name, value in call["sources"].items())
    return [", ".join(told), *([f"from {sources}"] if len(call["sources"]) > 1 else [])]


def _found(finding: Mapping[str, Any]) -> str:
    if finding.get("label") is None:
        return "found nothing"
    sure = f" ({finding['confidence']:.3f})" if finding.get("confidence") is not None else ""
    same = f", duplicate of {one_line(str(finding['duplicate_of']))}" if finding.get("duplicate_of") else ""
    return f"found {one_line(str(finding['label']))}{sure}{same}"


def _said(call: Row, show: Show) -> list[Text]:
    told = []
    if show.full:
        bodies = {"system": call["system_prompt"], "prompt": call["prompt"]}
        told += [_dim(f"{name}: {lines(text)}") for name, text in bodies.items() if text]
    if call["status"] == "refused":
        why = one_line(call["refusal_class"] or "")
        told.append(Text(f"refused, {why}: {show.text(call['refusal_reason'] or '')}", "yellow"))
    elif call["error"] or call["error_type"]:
        told.append(Text(f"{one_line(call['error_type'] or '')}: {show.text(call['error'] or '')}", "red"))
    if call["response"] and (call["tier"] != "listener" or show.full):
        told.append(Text(f"said: {show.text(call['response'])}"))
    return told


def outcome_lines(outcome: Row, show: Show) -> list[Text]:
    """How the event ended, by whom, and with which answer."""
    title = Text("outcome ", "bold").append(one_line(outcome["state"]), STATUS_COLOURS.get(outcome["state"], ""))
    title.append(f" by {outcome['tier']} {one_line(outcome['handler'])}", "not bold")
    told = [title, _dim(outcome["settled_at"].isoformat(" ", "milliseconds"))]
    told += [Text(f"answer: {show.text(outcome['answer'])}")] if outcome["answer"] else []
    told += [Text(f"because {show.text(reason)}") for reason in outcome["reasons"]]
    return told + ([Text(f"duplicate of {one_line(outcome['duplicate_of'])}")] if outcome["duplicate_of"] else [])


def letter_lines(letter: Row) -> list[Text]:
    """A dead letter: why, and where the message stood."""
    where = f"{one_line(letter['topic'])}[{letter['partition']}] at {letter['offset']}, {letter['payload_size']} bytes"
    return [Text(f"dead letter: {one_line(letter['reason'])}", "red"), Text(one_line(letter["detail"])), _dim(where)]


def truth_lines(truth: Row, show: Show) -> list[Text]:
    """A label or a judgement."""
    if "judge" in truth:
        said = f"judgement by {one_line(truth['judge'])}: {one_line(truth['question'])} {one_line(truth['verdict'])}"
        return [Text(said, "blue"), *([Text(show.text(truth["comment"]))] if truth["comment"] else [])]
    by = f" by {one_line(truth['source'])}" if truth["source"] else ""
    return [
        Text(f"label of the {one_line(truth['aspect'])}{by}: ", "blue").append(show.text(truth["label"]), "default")
    ]


def _sure(name: str, value: float) -> str:
    return f"{name} {value:.3f}"


def _dim(text: str) -> Text:
    return Text(text, "dim")

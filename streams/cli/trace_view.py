"""A trace on a terminal: a tree of what led to what, and a waterfall of the calls over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from streams.audit.trace import Trace, TraceStep
from streams.audit.trace_labels import Row, TraceLabel
from streams.audit.waterfall import WaterfallBar
from streams.cli.console import TIER_COLOURS, usd
from streams.core.harmless import lines, one_line

LEAST_BAR = 10
"""The least width of the bars, in columns."""
NAME_CHARACTERS = 24
SHOWN_CHARACTERS = 160
STATUS_COLOURS = {"answered": "green", "refused": "yellow", "invalid": "red", "failed": "red", "ignored": "dim"}


@dataclass(frozen=True, slots=True)
class Show:
    """The amount of text to show."""

    full: bool = False

    def text(self, value: str) -> str:
        """Return a text from an event or a model, cut to one line unless `full`."""
        if self.full:
            return lines(value)
        more = len(value) - SHOWN_CHARACTERS
        return one_line(value[:SHOWN_CHARACTERS]) + (f"… (+{more} characters; --full)" if more > 0 else "")


def tree_of(trace: Trace, show: Show) -> Tree:
    """Return the event with its verdict, calls, outcome, dead letters and labels as a tree."""
    tree = Tree(_joined(head_lines(trace, show)), guide_style="dim")
    _add(tree, trace.steps(), trace, show)
    for letter in trace.dead_letters:
        tree.add(_joined(letter_lines(letter)))
    if trace.outcome is not None:
        tree.add(_joined(outcome_lines(trace.outcome, show)))
    elif waits := trace.open_for():
        tree.add(Text(waits, "yellow"))
    for call in trace.judge_calls:
        tree.add(_joined(call_lines(call, trace.findings, show)))
    for label in trace.labels:
        tree.add(_joined(label_lines(label, show)))
    for judgement in trace.judgements:
        tree.add(_joined(judgement_lines(judgement, show)))
    return tree


def _add(branch: Tree, nodes: Sequence[TraceStep], trace: Trace, show: Show) -> None:
    for node in nodes:
        shown = verdict_lines(node.row) if node.kind == "verdict" else call_lines(node.row, trace.findings, show)
        _add(branch.add(_joined(shown)), node.led_to, trace, show)


def _joined(lines: Sequence[Text]) -> Text:
    return Text("\n").join(lines)


def head_lines(trace: Trace, show: Show) -> list[Text]:
    """Describe the event: id, run, time, topic and offset, content."""
    shown = [Text(one_line(trace.event_id), "bold").append(f"  in run {one_line(trace.run)}", "not bold")]
    origin = trace.origin
    if origin is not None:
        at = origin["event_time"].isoformat(" ", "milliseconds")
        place = f"{one_line(origin['source_topic'])}[{origin['source_partition']}] at {origin['source_offset']}"
        shown += [_dim(at), _dim(f"{place}, trace {one_line(origin['trace_id'])}")]
    if trace.verdict is not None:
        shown += _content(trace.verdict, show)
    return shown


def _content(verdict: Row, show: Show) -> list[Text]:
    parts = [Text(show.text(verdict["text"]))] if verdict["text"] else []
    parts += [_dim(f"data {show.text(verdict['data'])}")] if verdict["data"] else []
    return parts + ([_dim(f"image {one_line(verdict['image'])}")] if verdict["image"] else [])


def verdict_lines(verdict: Row) -> list[Text]:
    handler = f" → {one_line(verdict['handler'])}" if verdict["handler"] else ""
    title = Text(f"verdict {one_line(verdict['action'])}{handler}", "bold")
    said = [f"intents {one_line(', '.join(verdict['intents']))}"] if verdict["intents"] else []
    said += [_sure("confidence", verdict["confidence"])] if verdict["confidence"] is not None else []
    said += [f"duplicate of {one_line(verdict['duplicate_of'])}"] if verdict["duplicate_of"] else []
    said += [f"deferred {verdict['budget_deferrals']} times"] if verdict["budget_deferrals"] else []
    return [title, *([_dim(", ".join(said))] if said else [])]


def call_lines(call: Row, findings: Mapping[str, Row], show: Show) -> list[Text]:
    """Describe a call: handler, status, reason, scores, cost, time and answer."""
    title = Text(f"{call['tier']} ", TIER_COLOURS.get(call["tier"], ""))
    title.append(one_line(call["handler"]), "bold default").append(_number(call), "default")
    title.append(f"  {one_line(call['status'])}", STATUS_COLOURS.get(call["status"], ""))
    title.append(f", {one_line(call['decision'])}" if call["tier"] not in ("listener", "judge") else "", "default")
    shown = [title, _dim(_asked(call)), _dim(_spent(call))]
    finding = findings.get(call["handler"]) if call["tier"] == "listener" else None
    if finding is not None:
        shown.append(Text(_found(finding)))
    elif call["decision_reason"]:
        shown.append(Text(f"why: {show.text(call['decision_reason'])}"))
    shown += [_dim(text) for text in _scores(call)]
    return shown + _said(call, show)


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
    parts += [f"batch {call['batch_id']}"] if call["batch_id"] is not None else []
    parts += [f"waited {call['queue_seconds']:.3f} s"] if call["queue_seconds"] is not None else []
    if call["duration_seconds"] is not None:
        parts.append(f"{'took then' if call['reused_from'] is not None else 'took'} {call['duration_seconds']:.3f} s")
    return ", ".join(parts)


def _scores(call: Row) -> list[str]:
    if call["tier"] == "listener" or call["confidence"] is None:
        return []
    shown = [_sure("confidence", call["confidence"])]
    shown += [_sure("raw", call["raw_confidence"])] if call["raw_confidence"] not in (None, call["confidence"]) else []
    shown += [_sure("threshold", call["threshold"])] if call["threshold"] is not None else []
    shown += [f"calibration {one_line(call['calibration'])}"] if call["calibration"] else []
    shown += [f"asked the reasoner as well (1 in {1 / call['propensity']:.0f})"] if call["explored"] else []
    sources = ", ".join(_sure(one_line(name), value) for name, value in call["sources"].items())
    return [", ".join(shown), *([f"from {sources}"] if len(call["sources"]) > 1 else [])]


def _found(finding: Mapping[str, Any]) -> str:
    if finding.get("label") is None:
        return "found nothing"
    sure = f" ({finding['confidence']:.3f})" if finding.get("confidence") is not None else ""
    same = f", duplicate of {one_line(str(finding['duplicate_of']))}" if finding.get("duplicate_of") else ""
    return f"found {one_line(str(finding['label']))}{sure}{same}"


def _said(call: Row, show: Show) -> list[Text]:
    shown = []
    if show.full:
        bodies = {"system": call["system_prompt"], "prompt": call["prompt"]}
        shown += [_dim(f"{name}: {lines(text)}") for name, text in bodies.items() if text]
    if call["status"] == "refused":
        why = one_line(call["refusal_class"] or "")
        shown.append(Text(f"refused, {why}: {show.text(call['refusal_reason'] or '')}", "yellow"))
    elif call["error"] or call["error_type"]:
        shown.append(Text(f"{one_line(call['error_type'] or '')}: {show.text(call['error'] or '')}", "red"))
    if call["response"] and (call["tier"] != "listener" or show.full):
        shown.append(Text(f"said: {show.text(call['response'])}"))
    return shown


def outcome_lines(outcome: Row, show: Show) -> list[Text]:
    title = Text("outcome ", "bold").append(one_line(outcome["state"]), STATUS_COLOURS.get(outcome["state"], ""))
    title.append(f" by {outcome['tier']} {one_line(outcome['handler'])}", "not bold")
    shown = [title, _dim(outcome["settled_at"].isoformat(" ", "milliseconds"))]
    shown += [Text(f"answer: {show.text(outcome['answer'])}")] if outcome["answer"] else []
    shown += [Text(f"because {show.text(reason)}") for reason in outcome["reasons"]]
    return shown + ([Text(f"duplicate of {one_line(outcome['duplicate_of'])}")] if outcome["duplicate_of"] else [])


def letter_lines(letter: Row) -> list[Text]:
    where = f"{one_line(letter['topic'])}[{letter['partition']}] at {letter['offset']}, {letter['payload_size']} bytes"
    return [Text(f"dead letter: {one_line(letter['reason'])}", "red"), Text(one_line(letter["detail"])), _dim(where)]


def judgement_lines(judgement: Row, show: Show) -> list[Text]:
    judge, question, verdict = (one_line(judgement[name]) for name in ("judge", "question", "verdict"))
    said = f"judgement by {judge}: {question} {verdict}"
    return [Text(said, "blue"), *([Text(show.text(judgement["comment"]))] if judgement["comment"] else [])]


def label_lines(label: TraceLabel, show: Show) -> list[Text]:
    """Describe a label: its text, and each answer that agrees with it or does not."""
    by = f" by {one_line(label.source)}" if label.source else ""
    title = Text(f"label of the {one_line(label.aspect)}{by}: ", "blue").append(show.text(label.label), "default")
    if not label.answers:
        return [title, _agreement("", label.agrees, label.why)]
    return [title, *(_agreement(f"{one.tier} {one_line(one.handler)}: ", one.agrees, one.why) for one in label.answers)]


AGREEMENTS: Mapping[bool | None, tuple[str, str]] = {
    True: ("agrees", "green"),
    False: ("does not agree", "red"),
    None: ("not compared", "yellow"),
}


def _agreement(who: str, agrees: bool | None, why: str) -> Text:
    said, colour = AGREEMENTS[agrees]
    return Text(who).append(said, colour).append(f", because {one_line(why)}" if why else "")


def _sure(name: str, value: float) -> str:
    return f"{name} {value:.3f}"


def _dim(text: str) -> Text:
    return Text(text, "dim")


def waterfall(bars: Sequence[WaterfallBar], settled: datetime | None, width: int) -> Text:
    """Draw the bars in `width` columns: dots for waiting, blocks for the call, a diamond for the outcome."""
    start = min(bar.handed for bar in bars)
    end = max([*(bar.ended for bar in bars), *([settled] if settled else [])])
    names = [one_line(f"{bar.tier} {bar.handler}", NAME_CHARACTERS) for bar in bars]
    notes = ["stored" if bar.stored else f"{bar.took:.3f} s" for bar in bars]
    name_width, note_width = max(map(len, names)), max(map(len, notes))
    room = max(LEAST_BAR, width - name_width - note_width - 4)
    span = max((end - start).total_seconds(), 1e-6)

    def place(time: datetime) -> int:
        return min(room - 1, int((time - start).total_seconds() / span * room))

    drawn = Text()
    for bar, name, note in zip(bars, names, notes, strict=True):
        handed, began, ended = place(bar.handed), place(bar.began), max(place(bar.began) + 1, place(bar.ended))
        drawn.append(f"{name:<{name_width}} ")
        drawn.append(" " * handed + "·" * (began - handed), "dim")
        drawn.append("█" * (ended - began), TIER_COLOURS.get(bar.tier, "white"))
        drawn.append(" " * (room - ended) + f" {note:>{note_width}}\n")
    if settled is not None:
        drawn.append(f"{'outcome':<{name_width}} " + " " * place(settled) + "◆\n")
    drawn.append(f"{'':<{name_width}} 0{f'{span:.3f} s':>{room - 1}}", "dim")
    return drawn

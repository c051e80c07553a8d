"""The completeness of a stream, as a certificate states it, from the report of `escalon verify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from streams.audit.verify.report import FAULTS, Fault, VerifyReport

CompletenessState = Literal["proven", "unproven", "faulty"]
_UNCHECKED: Final = (
    "No Kafka broker is running, so its topics were not compared with the audit: start `escalon up`, or set "
    "ESCALON_KAFKA."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The result of the comparison of topics and audit, `faults` and `unproven` in sentences.

    It is faulty if anything is missing, doubled or without an origin, and proven if the topics still hold every event
    of which the audit has an outcome and nothing is wrong with them. `ends` counts events by how they ended.
    """

    state: CompletenessState
    faults: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    ends: Mapping[str, int]


def completeness_of(report: VerifyReport | None, settled: int) -> Completeness:
    """Return what a report proves, nothing without one. The audit has an outcome of `settled` events of that time."""
    if report is None:
        return Completeness(state="unproven", unproven=(_UNCHECKED,), ends={})
    faults = tuple(_fault(one) for one in report.faults)
    unproven = tuple(_unproven(report, settled))
    state: CompletenessState = "faulty" if faults else "unproven" if unproven or not report.clean else "proven"
    return Completeness(state=state, faults=faults, unproven=unproven, ends=report.ends)


def _fault(fault: Fault) -> str:
    """Say how many entries are at fault, and name the events of the examples."""
    ids = [str(one.get("event_id", "")) for one in fault.examples if one.get("event_id")]
    named = f": {', '.join(ids)}{' …' if fault.count > len(fault.examples) else ''}" if ids else ""
    return f"{fault.topic}: {fault.count:,} {FAULTS[fault.kind]}{named}."


def _unproven(report: VerifyReport, settled: int) -> Iterator[str]:
    held = report.ends.get("outcome", 0)
    if held < settled:
        yield (
            f"The audit has the outcomes of {settled:,} events, of which Kafka still holds {held:,}. If others were "
            "lost in that time, nothing shows it any more."
        )
    for kind, count in report.unproven.items():
        if count and kind != "stray_row":
            yield f"{count:,} × possibly {FAULTS[kind]}."
    for topic, count in report.held_back.items():
        yield f"{count:,} offsets of {topic} are behind an open transaction and were not read."
    young = sum(report.young.values())
    if young:
        yield f"{young:,} entries are too recent to be judged."

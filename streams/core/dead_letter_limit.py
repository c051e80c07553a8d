"""A limit on dead letters: a tier stops before it turns a whole topic into them, as after a bad deploy."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from streams.core.errors import DeadLetterLimitError
from streams.core.messages import DeadLetter

WINDOW: Final = 1000
"""Offsets of a partition that `percent` is about."""
_REASONS, _DETAIL = 3, 200


@dataclass(slots=True)
class _Partition:
    success: int = -1
    """The highest offset of a message that did not become a dead letter."""
    letters: dict[int, str] = field(default_factory=dict)
    """Why a message became one, by offset, in the order of offsets."""


class DeadLetterLimit:
    """Counts the dead letters of each partition that a process reads, once Kafka has confirmed them.

    `add` raises DeadLetterLimitError when the last `run` messages of a partition all became dead letters, or more than
    `percent` of its last WINDOW offsets; 0 switches either off. A message is counted by its offset, so that a
    redelivery counts once. Nothing outlasts the process: the next one counts from where this one committed.
    """

    def __init__(self, run: int = 0, percent: int = 0) -> None:
        self._run, self._percent = run, percent
        self._partitions: defaultdict[tuple[str, int], _Partition] = defaultdict(_Partition)

    def counting(self) -> bool:
        """True if any partition has dead letters among its last WINDOW offsets."""
        return any(found.letters for found in self._partitions.values())

    def succeeded(self, topic: str, partition: int, offset: int) -> None:
        """Note a message that did not become a dead letter."""
        found = self._partitions[topic, partition]
        if offset > found.success:
            found.success = offset
            if found.letters and offset - next(reversed(found.letters)) >= WINDOW:
                found.letters.clear()

    def add(self, letter: DeadLetter) -> None:
        """Count a dead letter. Raises DeadLetterLimitError when it reaches the limit."""
        if not (self._run or self._percent):
            return
        place, found = f"{letter.topic}/{letter.partition}", self._partitions[letter.topic, letter.partition]
        why = f"{letter.reason} at offset {letter.offset}: {letter.detail[:_DETAIL]}"
        letters = dict(sorted({**found.letters, letter.offset: why}.items()))
        latest = max(*letters, found.success)
        recent = [why for offset, why in letters.items() if offset > latest - WINDOW]
        in_a_row = [why for offset, why in letters.items() if offset > found.success]
        oldest = min(found.success, latest - WINDOW) if self._run else latest - WINDOW
        found.letters = {offset: why for offset, why in letters.items() if offset > oldest}
        if self._run and len(in_a_row) >= self._run:
            what = f"The last {len(in_a_row)} messages of {place} all became dead letters."
            raise _error(what, in_a_row, "ESCALON_DEAD_LETTER_RUN")
        if self._percent and len(recent) * 100 > self._percent * WINDOW:
            what = f"{len(recent)} of the last {WINDOW} messages of {place} became dead letters."
            raise _error(what, recent, "ESCALON_DEAD_LETTER_PERCENT")


def _error(what: str, reasons: list[str], setting: str) -> DeadLetterLimitError:
    return DeadLetterLimitError(
        f"{what} The first ones: {'; '.join(reasons[:_REASONS])}.",
        "Fix what they name, such as a bad deploy or a producer, then start this process again: it goes on with the"
        f" next message, and `escalon dead-letters retry` brings these back. {setting} sets the limit.",
    )

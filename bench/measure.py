"""Records of a benchmark's figures and ratios, rounds that take turns, and the CPU time and memory of processes.

A case is a function without arguments that does the work once and returns its figures by name. The name ends with the
unit, without a space in it: `{"LISTEN ms/event": 1.5, "throughput events/s": 605.0}`.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

Case = Callable[[], Mapping[str, float]]
T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[1]
OWN: Final = "escalon"
BEFORE: Final = "before"
TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    quick: bool = False
    """One short round, which shows that the benchmark works and not how fast anything is."""
    rounds: int | None = None
    against: Path | None = None
    """Another checkout of escalon, measured in the same rounds."""
    kafka_home: Path | None = None

    def checkouts(self) -> dict[str, Path]:
        """Return what to measure, by name: this checkout, and the one to compare it with."""
        return {OWN: ROOT} | ({BEFORE: self.against} if self.against is not None else {})

    def size(self, usual: T, quick: T) -> T:
        return quick if self.quick else usual

    def rounds_or(self, usual: int) -> int:
        return self.rounds or self.size(usual, 1)


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity of one subject, measured once in each round."""

    subject: str
    quantity: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return min(self.rounds), max(self.rounds)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure by another, of the same round; with a target it is met or not."""

    name: str
    rounds: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool | None:
        """None without a target."""
        if self.at_most is None and self.at_least is None:
            return None
        return self.median <= (self.at_most or float("inf")) and self.median >= (self.at_least or 0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """All that a benchmark found."""

    benchmark: str
    ratios: Sequence[Ratio] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Rounds:
    """The figures of cases that took turns."""

    taken: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, subject: str, found: Mapping[str, float]) -> None:
        for name, value in found.items():
            self.taken.setdefault((subject, name), []).append(value)

    def figures(self) -> list[Figure]:
        found = []
        for (subject, name), values in self.taken.items():
            quantity, unit = name.rsplit(" ", 1)
            found.append(Figure(subject, quantity, unit, tuple(values)))
        return found

    def ratio(
        self,
        name: str,
        over: tuple[str, str],
        under: tuple[str, str],
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Ratio:
        """Return the ratio of two figures, each named by its subject and its name with the unit."""
        pairs = zip(self.taken[over], self.taken[under], strict=True)
        return Ratio(name, tuple(one / other for one, other in pairs), at_most, at_least)


def interleave(cases: Mapping[str, Case], rounds: int) -> Rounds:
    """Run every case once in each round, in an order that reverses from round to round."""
    found = Rounds()
    for number in range(rounds):
        for subject in list(cases)[:: -1 if number % 2 else 1]:
            print(f"round {number + 1} of {rounds}: {subject}", file=sys.stderr, flush=True)
            found.add(subject, cases[subject]())
    return found


def cpu_seconds(*pids: int) -> float:
    """Return the user and system time of processes, their running descendants and the children they waited for."""
    ticks = 0
    for pid in pids:
        for one in (pid, *descendants(pid)):
            try:
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue  # it ended a moment ago, and its parent has its time
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def resident_mib(pid: int) -> float:
    """Return the resident memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


def descendants(pid: int) -> Iterator[int]:
    """Yield the running children of a process, and theirs."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except FileNotFoundError:
            continue  # the thread has ended
        for child in map(int, found):
            yield child
            yield from descendants(child)

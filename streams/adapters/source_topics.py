"""The user's own topics that a pipeline reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streams.core.errors import ConfigError
from streams.core.topics import may_be_source
from streams.pipeline.source import SourceSpec


@dataclass(frozen=True, slots=True)
class SourceTopics:
    """The tables `[source]` of a pipeline. Raises ConfigError if they name a topic of escalon's, or one twice."""

    specs: Sequence[SourceSpec]
    prefix: str
    """The prefix of escalon's own topics."""

    def __post_init__(self) -> None:
        for topic in self.named:
            if not may_be_source(topic, self.prefix):
                what = f"{topic} is a topic that escalon or Kafka keeps for itself."
                raise ConfigError(what, "Name topics of your own; `events` is read anyway.", "source.topics")
            if self.named.count(topic) > 1:
                what = f"two tables read the topic {topic}."
                raise ConfigError(what, "Read each topic by one table.", "source.topics")

    @property
    def named(self) -> list[str]:
        """The topics that are named one by one."""
        return [topic for spec in self.specs for topic in spec.topics]

    @property
    def open_ended(self) -> bool:
        """True if topics that are created later may be read as well."""
        return any(spec.pattern is not None for spec in self.specs)

    def of(self, topic: str) -> SourceSpec | None:
        """Return the table for a topic: one that names it, else the first whose pattern matches; None for none."""
        for spec in self.specs:
            if topic in spec.topics:
                return spec
        if not may_be_source(topic, self.prefix):
            return None
        return next((one for one in self.specs if one.pattern is not None and one.pattern.fullmatch(topic)), None)

    def among(self, existing: Iterable[str]) -> list[str]:
        """Return the topics of these that are read."""
        return sorted(topic for topic in existing if self.of(topic) is not None)

    def __str__(self) -> str:
        patterns = [one.pattern.pattern for one in self.specs if one.pattern is not None]
        return ", ".join([*self.named, *(f"topics that match {pattern}" for pattern in patterns)])

    def __bool__(self) -> bool:
        return bool(self.specs)

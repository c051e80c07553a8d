"""The topics, as one table: the message type and the key of each, and the header that spares a stage the decoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

from streams.core import messages as m


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `partitions` None means the deployment's number; `key` returns a message's key or None."""

    name: str
    message: type
    key: Callable[[Any], str | None]
    partitions: int | None = None


TOPICS: tuple[TopicSpec, ...] = (
    #         name            message       key                                    partitions
    TopicSpec("events",       m.RawEvent,   lambda x: x.id),
    TopicSpec("images",       m.Sighting,   lambda x: x.event.origin.event_id,     1),
    TopicSpec("verdicts",     m.Verdict,    lambda x: x.fingerprint),
    TopicSpec("escalations",  m.Escalation, lambda x: x.fingerprint),
    TopicSpec("deferred-budget",   m.Deferred, lambda x: x.task.event.origin.event_id),
    TopicSpec("deferred-provider", m.Deferred, lambda x: x.task.event.origin.event_id),
    TopicSpec("deferred-batch", m.Deferred, lambda x: x.task.fingerprint),
    TopicSpec("results",      m.Result,     lambda x: x.origin.event_id),
    TopicSpec("outcomes",     m.Outcome,    lambda x: x.origin.event_id),
    TopicSpec("calls",        m.Call,       lambda x: x.origin.event_id),
    TopicSpec("labels",       m.Label,      lambda x: x.event_id),
    TopicSpec("judgements",   m.Judgement,  lambda x: x.event_id),
    TopicSpec("panels",       m.Panel,      lambda x: x.panel,                     1),
    TopicSpec("panel-cases",  m.PanelCase,  lambda x: x.case_id),
    TopicSpec("reservations", m.Reservation, lambda x: x.case_id),
    TopicSpec("dead-letters", m.DeadLetter, lambda x: x.event_id),
)  # fmt: skip

BY_NAME = {spec.name: spec for spec in TOPICS}
BY_MESSAGE = {spec.message: spec for spec in TOPICS if spec.message is not m.Deferred}
DEFERRED = {cause: BY_NAME[f"deferred-{cause}"] for cause in get_args(m.DeferralCause)}
"""A topic for each cause. All messages of `deferred-budget` wait equally long, and so do those of `deferred-provider`,
so a reader may stop at the first that is not due. `deferred-batch` is keyed so that identical tasks meet."""
TIMED = tuple(DEFERRED[cause] for cause in ("budget", "provider"))
"""The topics of tasks that wait for a time; those of `deferred-batch` wait for their batch."""


_CHANGELOG = re.compile(r"escalon-.*-changelog")


def own_name(topic: str, prefix: str) -> str | None:
    """Return the name in the table of a topic; None for one that is not this deployment's."""
    name = topic[len(prefix) :]
    return name if topic.startswith(prefix) and name in BY_NAME else None


def may_be_source(topic: str, prefix: str) -> bool:
    """False for the topics that escalon and Kafka keep for themselves."""
    return not (topic.startswith("__") or _CHANGELOG.fullmatch(topic) or own_name(topic, prefix))


def topic_of(message: Any) -> TopicSpec:
    """Return the topic that a message is published to."""
    return DEFERRED[message.cause] if isinstance(message, m.Deferred) else BY_MESSAGE[type(message)]


ACTION_HEADER = "escalon-action"
"""A verdict's action. A record without it is decoded."""
_NOT_WORK = frozenset(action.encode() for action in get_args(m.Action) if action != "work")


def headers_of(message: Any) -> list[tuple[str, bytes]]:
    """Return the headers by which a stage recognises a message that is not for it."""
    return [(ACTION_HEADER, message.action.encode())] if isinstance(message, m.Verdict) else []


def is_for(topic: str, headers: Iterable[tuple[str, bytes]]) -> bool:
    """False for a record that causes nothing in the stage of its topic: a verdict that names no worker.

    `topic` is the name in the table, without a prefix.
    """
    return topic != "verdicts" or dict(headers).get(ACTION_HEADER) not in _NOT_WORK

"""All panels in memory: read from the audit and from the topics, then kept up to date.

The audit and the topics may each lack messages: RECORD is behind the topics, and the in-memory broker forgets them when
it stops. Reading both is enough, because a message that is applied twice changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

from streams.adapters.codec import Codec
from streams.adapters.codec_factory import codec_for
from streams.adapters.ground_truth import read_ground_truth
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.app.settings import Settings, require_kafka
from streams.audit.query import Audit
from streams.core.errors import ConfigError, ServiceError, UnreadableError
from streams.core.messages import Judgement, Panel, PanelCase, Reservation
from streams.core.topics import BY_MESSAGE
from streams.panels.assignment import Assigner, rubric_of
from streams.panels.evidence import no_panel, read_panel
from streams.panels.rows import panel_of

StateMessage = Panel | PanelCase | Judgement | Reservation
KINDS: Final[tuple[type[StateMessage], ...]] = (Panel, PanelCase, Judgement, Reservation)
RETRY_SECONDS: Final = 1.0
log = logging.getLogger("escalon.panels")


class PanelLog:
    """The panels by name. `load` fills it; the topics' later messages come through `follow`."""

    def __init__(self, settings: Settings) -> None:
        self.panels: dict[str, Assigner] = {}
        self._kafka = require_kafka(settings)
        self._codec = codec_for(settings.schema_registry)
        self._kinds = {settings.topic_prefix + BY_MESSAGE[kind].name: kind for kind in KINDS}
        self._next: Offsets = {}
        self._stop = threading.Event()

    def load(self, audit: Audit) -> None:
        """Read the audit, then the topics to their present ends. Raises ServiceError if one cannot be read."""
        for name in _readable_panels(audit):
            evidence = read_panel(audit, name)
            known: list[StateMessage] = [evidence.panel, *evidence.cases, *evidence.judgements]
            for message in known:
                self.apply(message)
        self.load_topics(self.apply)

    def load_topics(self, use: Callable[[StateMessage], None]) -> None:
        """Hand over every message that the topics hold now."""
        with TopicReader(self._kafka, list(self._kinds), on_gap=_passed) as reader:
            for record in reader.to_end():
                self._read(record, use)

    def apply(self, message: StateMessage) -> None:
        """Add one message. Judgements from outside a panel are left out, and panels whose rubric cannot be read."""
        if message.panel and (not isinstance(message, Panel) or _is_readable(message.panel, message.rubric)):
            self.panels.setdefault(message.panel, Assigner()).apply(message)

    def follow(self, deliver: Callable[[list[StateMessage]], None]) -> None:
        """Start a thread that hands over the topics' further messages, also after the broker was unreachable."""
        threading.Thread(target=self._follow, args=(deliver,), name="panel-log", daemon=True).start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()

    def _follow(self, deliver: Callable[[list[StateMessage]], None]) -> None:
        while not self._stop.is_set():
            try:
                with TopicReader(self._kafka, list(self._kinds), dict(self._next), on_gap=_passed) as reader:
                    while not self._stop.is_set():
                        found: list[StateMessage] = []
                        for record in reader.batch():
                            self._read(record, found.append)
                        if found:
                            deliver(found)
            except ServiceError as error:
                log.warning("the panels' topics cannot be read, and are tried again: %s", error)
                self._stop.wait(RETRY_SECONDS)

    def _read(self, record: KafkaRecord, use: Callable[[StateMessage], None]) -> None:
        self._next[record.topic, record.partition] = record.offset + 1
        try:
            use(decoded(record, self._kinds[record.topic], self._codec))
        except UnreadableError as error:  # RECORD makes a dead letter of it
            log.warning("%s/%d offset %d is left out: %s", record.topic, record.partition, record.offset, error)


def decoded(record: KafkaRecord, kind: type[StateMessage], codec: Codec) -> StateMessage:
    """Return the message in a record. Raises UnreadableError."""
    if kind is Judgement:
        return read_ground_truth(Judgement, record, codec)
    return codec.decode(kind, record.value or b"")


def current_panel(settings: Settings, audit: Audit, name: str) -> Panel:
    """Return the latest message of a panel, from the topic or the audit. Raises ConfigError if there is none."""
    found = [*_recorded(audit, name), *_published(settings, name)]
    if not found:
        raise no_panel(name)
    return max(found, key=lambda panel: panel.updated_at)


def panel_names(audit: Audit) -> list[str]:
    """Return the names of the audit's panels."""
    return [row[0] for row in audit.query("SELECT panel FROM panels ORDER BY panel").rows]


def _readable_panels(audit: Audit) -> list[str]:
    """Return the names of the audit's panels whose rubric can be read."""
    return [name for name, rubric in audit.query("SELECT panel, rubric FROM panels").rows if _is_readable(name, rubric)]


def _is_readable(name: str, rubric: str) -> bool:
    try:
        rubric_of(rubric)
    except ConfigError as error:
        log.warning("the panel %s is left out: %s", name, error)
        return False
    return True


def _recorded(audit: Audit, name: str) -> Iterator[Panel]:
    rows = audit.query("SELECT * FROM panels WHERE panel = {panel:String}", {"panel": name}).records()
    return (panel_of(row) for row in rows)


def _published(settings: Settings, name: str) -> Iterator[Panel]:
    codec, topic = codec_for(settings.schema_registry), settings.topic_prefix + BY_MESSAGE[Panel].name
    with TopicReader(require_kafka(settings), [topic], on_gap=_passed) as reader:
        for record in reader.to_end():
            try:
                found = codec.decode(Panel, record.value or b"")
            except UnreadableError:
                continue
            if found.panel == name:
                yield found


def _passed(gap: Gap) -> None:
    """Go on behind records that Kafka has deleted: the audit has them."""
    log.info("%s are no longer in Kafka; the audit has them", gap)

"""Publication of panel messages without a broker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.kafka import KafkaConfig
from streams.app.settings import Settings, read_settings
from streams.core.errors import ServiceError
from streams.panels.publication import MessageWriter, publish
from tests.harness.panels import case, panel


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    read = read_settings({"ESCALON_DATA": str(tmp_path)})
    return replace(read, kafka=KafkaConfig(servers="127.0.0.1:1"))


def test_messages_that_no_broker_confirms_fail_together(settings: Settings) -> None:
    with MessageWriter(settings, seconds=0.2) as writer:
        sent = writer.send([panel(), case(1)])
        with pytest.raises(ServiceError, match="Kafka has not confirmed a message"):
            sent.result(30)


def test_nothing_to_send_is_confirmed_at_once(settings: Settings) -> None:
    with MessageWriter(settings) as writer:
        assert writer.send([]).result(0) is None


def test_a_panel_without_a_broker_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="escalon up"):
        publish(read_settings({"ESCALON_DATA": str(tmp_path)}), [panel()])

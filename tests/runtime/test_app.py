"""A Faust app set up as the runtime needs it; nothing is connected."""

from __future__ import annotations

from pathlib import Path

import faust

from streams.adapters.kafka import KafkaConfig
from streams.runtime.app import ProcessConfig, faust_app


def test_an_app_keeps_what_it_does_not_lose_events_by(tmp_path: Path) -> None:
    app = faust_app(
        "work",
        KafkaConfig(servers="a:1, b:2"),
        ProcessConfig(directory=tmp_path / "tables", prefix="pre."),
    )
    conf = app.conf
    assert conf.id == "escalon-pre.work"
    assert [str(url) for url in conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert conf.processing_guarantee.value == "at_least_once"
    assert conf.consumer_auto_offset_reset == "earliest"
    assert conf.consumer_metadata_max_age_ms <= 10_000
    assert conf.broker_heartbeat_interval < conf.broker_session_timeout
    assert (conf.topic_disable_leader, conf.table_standby_replicas, conf.web_enabled) == (True, 0, False)
    assert (tmp_path / "tables").is_dir()


async def test_an_app_declares_no_topic_because_the_cluster_may_have_no_controller(tmp_path: Path) -> None:
    app = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path))
    await app.topic("a-changelog", internal=True).declare()


def test_a_log_in_reaches_the_client_and_is_not_shown(tmp_path: Path) -> None:
    kafka = KafkaConfig(servers="a:1", tls=True, sasl_mechanism="PLAIN", username="me", password="s3cret")
    credentials = faust_app("work", kafka, ProcessConfig(directory=tmp_path)).conf.broker_credentials
    assert (credentials.username, credentials.password) == ("me", "s3cret")
    assert credentials.protocol.value == "SASL_SSL"
    assert "s3cret" not in repr(credentials)
    place = ProcessConfig(directory=tmp_path)
    assert faust_app("work", KafkaConfig(servers="a:1", tls=True), place).conf.broker_credentials is not None
    assert faust_app("work", KafkaConfig(servers="a:1"), place).conf.broker_credentials is None


def test_faust_still_asks_where_the_app_lets_messages_in_flight_end(tmp_path: Path) -> None:
    assert "_consumer_wait_empty" in faust.App._on_partitions_revoked.__code__.co_names
    assert "_consumer_wait_empty" in faust.App._stop_consumer.__code__.co_names
    assert faust_app("work", KafkaConfig(servers="a:1"), ProcessConfig(directory=tmp_path)).drain is not None

"""Traces are made as the settings say, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.app.settings import read_settings
from streams.app.telemetry import tracing_of
from streams.core.errors import ConfigError
from streams.telemetry.tracing import OFF, Tracing


@pytest.fixture
def made() -> Iterator[list[Tracing]]:
    """A list of tracings, which are closed at the end of a test."""
    found: list[Tracing] = []
    yield found
    for one in found:
        one.close()


def test_without_the_setting_nothing_is_traced() -> None:
    assert tracing_of(read_settings({}), "work") is OFF


def test_a_tier_traces_as_the_settings_say(made: list[Tracing]) -> None:
    pytest.importorskip("opentelemetry.sdk")
    given = {"ESCALON_TRACES": "1", "ESCALON_TRACES_PERCENT": "5", "ESCALON_TOPIC_PREFIX": "eu."}
    made.append(tracing_of(read_settings(given), "work"))
    assert (made[0].group, made[0].percent, made[0].texts) == ("escalon-eu.work", 5, False)
    assert made[0].spans is not None


def test_more_than_all_traces_is_an_error_of_the_operator() -> None:
    with pytest.raises(ConfigError, match="ESCALON_TRACES_PERCENT: 101 is not a percentage"):
        tracing_of(read_settings({"ESCALON_TRACES": "1", "ESCALON_TRACES_PERCENT": "101"}), "work")

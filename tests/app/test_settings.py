"""Settings from the environment."""

from __future__ import annotations

import pytest

from streams.app.settings import read_settings
from streams.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ESCALON_PARTITIONS", "0"),
        ("ESCALON_PARTITIONS", "four"),
        ("ESCALON_REPLICATION", "0"),
        ("ESCALON_RETENTION_DAYS", "0"),
        ("ESCALON_RETENTION_DAYS", "1.5"),
        ("ESCALON_AUDIT_DAYS", "-1"),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name_with_one_that_can(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: '{value}' is not a whole number of at least [01]"):
        read_settings({name: value})


def test_days_are_seconds_and_none_is_unlimited_where_possible() -> None:
    found = read_settings({"ESCALON_RETENTION_DAYS": "1", "ESCALON_AUDIT_DAYS": "0"})
    assert found.retention_seconds == 86_400
    assert found.audit_retention.row_days == 0
    assert found.topic_retention_seconds is None

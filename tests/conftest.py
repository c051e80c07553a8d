"""What tests of several folders share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streams.core.errors import ServiceError
from streams.embedded.kafka_install import install
from streams.resources import resource

# Property-based tests are not timed: other work may share the machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def kafka_home(pytestconfig: pytest.Config) -> Path:
    """An installed Apache Kafka, kept between runs in pytest's cache."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"skipped: no {program}, so Apache Kafka is not tested")
    cache = pytestconfig.cache
    assert cache is not None
    try:
        return install(cache.mkdir("kafka"), print, resource("kafka"))
    except ServiceError as error:
        pytest.skip(f"skipped: Apache Kafka is not tested: {error}")

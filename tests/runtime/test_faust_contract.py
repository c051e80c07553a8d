"""The names of Faust and mode that the runtime overrides or calls, as the installed packages have them."""

from __future__ import annotations

import inspect
from typing import Any

import faust
import pytest
from faust.app import BootStrategy
from mode import Service

NAMES: list[tuple[Any, str, list[str], str]] = [
    (faust.App, "on_start", ["self"], "overridden: it would create a Kafka consumer"),
    (faust.App, "finalize", ["self"], "called: completes the configuration"),
    (faust.App, "on_started", ["self"], "overridden: it would wait for Faust's own tables"),
    (faust.App, "on_shutdown", ["self"], "overridden: called once all agents have stopped"),
    (faust.App, "channel", ["self"], "called: the stream of a topic's batches"),
    (faust.App, "agent", ["self", "channel", "name"], "called: runs a stage"),
    (faust.Channel, "put", ["self", "value"], "called: gives a batch to the agent"),
    (BootStrategy, "server", ["self"], "overridden: the services and their order"),
    (Service, "on_start", ["self"], "overridden: begins to read"),
    (Service, "on_stop", ["self"], "overridden: leaves the group"),
    (Service, "sleep", ["self", "n"], "called: ends early when the service stops"),
    (faust.Worker, "execute_from_commandline", ["self"], "called: runs a tier until a signal"),
]


@pytest.mark.parametrize(("owner", "name", "parameters", "why"), NAMES, ids=[f"{n[0].__name__}.{n[1]}" for n in NAMES])
def test_a_name_has_the_parameters_that_the_runtime_relies_on(
    owner: Any, name: str, parameters: list[str], why: str
) -> None:
    found = list(inspect.signature(getattr(owner, name)).parameters)
    assert [one for one in found if one in parameters] == parameters, why

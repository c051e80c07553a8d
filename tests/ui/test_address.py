"""The address of the pages is kept as long as their server runs, and by that server alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app.settings import read_settings
from streams.core.errors import ServiceError
from streams.ui.address import DEFAULT_ADDRESS, address_of_pages, announced, are_served


def test_other_commands_find_the_address_while_the_server_runs(tmp_path: Path) -> None:
    settings = read_settings({"ESCALON_DATA": str(tmp_path)})
    with announced(settings, "http://127.0.0.1:1"):
        assert are_served(settings)
        assert address_of_pages(settings) == "http://127.0.0.1:1"
    assert not are_served(settings)
    assert address_of_pages(settings) == DEFAULT_ADDRESS


def test_a_second_server_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    settings = read_settings({"ESCALON_DATA": str(tmp_path)})
    with announced(settings, "http://127.0.0.1:1"):
        with pytest.raises(ServiceError, match="in use"), announced(settings, "http://127.0.0.1:2"):
            pass
        assert address_of_pages(settings) == "http://127.0.0.1:1"

"""The port of the pages."""

from __future__ import annotations

import pytest

from streams.core.errors import ServiceError
from streams.ui.server import address_of, listening, listening_near


def test_a_port_in_use_is_replaced_by_a_free_one_unless_it_was_asked_for() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with listening_near("127.0.0.1", port) as other:
            assert other.getsockname()[1] != port
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port} cannot be listened on"):
            listening("127.0.0.1", port)
    with listening_near("127.0.0.1", port) as free:
        assert free.getsockname()[1] == port


def test_the_address_names_the_port_that_was_taken() -> None:
    with listening("127.0.0.1", 0) as listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"

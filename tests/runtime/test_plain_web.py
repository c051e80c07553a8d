"""The pages of a process without Faust."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from streams.core.errors import ConfigError
from streams.runtime.metrics import tell_of_rows
from streams.runtime.plain_web import WebAddress, serve_plain


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = serve_plain(WebAddress("127.0.0.1", 0))
    assert server is not None
    with server:
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def get(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  our own address
        return response.headers["Content-Type"], response.read().decode()


def test_the_first_page_says_that_the_process_is_there(address: str) -> None:
    kind, body = get(f"{address}/")
    assert (kind, json.loads(body)) == ("application/json", {"status": "OK"})


def test_the_figures_are_in_the_text_format_of_prometheus(address: str) -> None:
    tell_of_rows("served_rows", 3, 0.1)
    kind, body = get(f"{address}/metrics")
    assert kind.startswith("text/plain; version=")
    assert 'escalon_rows_total{table="served_rows"} 3.0' in body.splitlines()


def test_there_are_no_other_pages(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{address}/etc/passwd")


def test_without_a_port_nothing_is_served() -> None:
    assert serve_plain(None) is None


def test_a_port_that_is_taken_is_an_error_of_the_operator(address: str) -> None:
    with pytest.raises(ConfigError, match=r"ESCALON_WEB_PORT: port \d+ of 127.0.0.1 cannot be served"):
        serve_plain(WebAddress("127.0.0.1", int(address.rpartition(":")[2])))

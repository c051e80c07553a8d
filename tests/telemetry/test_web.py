"""The health and the metrics of a process over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from streams.core.errors import ConfigError
from streams.telemetry import web
from streams.telemetry.health import Health
from streams.telemetry.metrics import observe_rows
from streams.telemetry.web import WebAddress, serve_web


@contextlib.contextmanager
def served(loop: asyncio.AbstractEventLoop | None = None) -> Iterator[str]:
    server = serve_web(WebAddress("127.0.0.1", 0), loop)
    assert server is not None
    with server:
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def get(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  our own address
        return response.headers["Content-Type"], response.read().decode()


def test_the_health_page_answers(address: str) -> None:
    kind, body = get(f"{address}/")
    assert (kind, json.loads(body)) == ("application/json", {"status": "OK"})


def test_a_process_that_cannot_work_is_unhealthy_and_its_metrics_say_so(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.telemetry.web.HEALTH", health := Health())
    health.mark_unhealthy("the disk /data is full")
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        get(f"{address}/")
    assert json.loads(caught.value.read()) == {"status": "unhealthy"}
    assert "escalon_unhealthy 1.0" in get(f"{address}/metrics")[1].splitlines()
    health.mark_healthy()
    assert get(f"{address}/")[1] == '{"status": "OK"}'
    assert "escalon_unhealthy 0.0" in get(f"{address}/metrics")[1].splitlines()


def test_the_metrics_are_in_the_text_format_of_prometheus(address: str) -> None:
    observe_rows("served_rows", 3, 0.1)
    kind, body = get(f"{address}/metrics")
    assert kind.startswith("text/plain; version=")
    assert 'escalon_rows_total{table="served_rows"} 3.0' in body.splitlines()


def test_there_are_no_other_pages(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{address}/etc/passwd")


def test_a_client_that_sends_half_a_request_is_disconnected(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.telemetry.web._RequestHandler.patience", 0.2)
    place = "127.0.0.1", int(address.rpartition(":")[2])
    with contextlib.ExitStack() as open_:
        held = [open_.enter_context(socket.create_connection(place, timeout=8)) for _ in range(20)]
        for one in held:
            one.sendall(b"GET / HT")
        assert [one.recv(1) for one in held] == [b""] * len(held)


def test_pages_are_made_in_the_event_loop_they_are_about(loop: asyncio.AbstractEventLoop) -> None:
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    try:
        with served(loop) as address:
            assert get(f"{address}/")[1] == '{"status": "OK"}'
            assert "process_cpu_seconds_total" in get(f"{address}/metrics")[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        runner.join()


@pytest.mark.parametrize("page", ["/", "/metrics"])
def test_a_blocked_event_loop_shows(
    page: str, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.telemetry.web.LOOP_SECONDS", 0.1)
    with served(loop) as address, pytest.raises(urllib.error.HTTPError, match="503"):
        get(address + page)


def test_a_page_that_cannot_be_made_is_an_error_of_the_server(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[bytes]:
        raise RuntimeError("no page")

    monkeypatch.setitem(web._PAGES, "/", broken)
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    try:
        with served(loop) as address, pytest.raises(urllib.error.HTTPError, match="500"):
            get(address)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        runner.join()


def test_without_a_port_nothing_is_served() -> None:
    assert serve_web(None) is None


def test_a_port_that_is_taken_is_an_error_of_the_operator(address: str) -> None:
    with pytest.raises(ConfigError, match=r"ESCALON_WEB_PORT: port \d+ of 127.0.0.1 cannot be served"):
        serve_web(WebAddress("127.0.0.1", int(address.rpartition(":")[2])))

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ESTABLISHED = (
    "   0: 0100007F:BB48 0200000A:4A94 01 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 20 4 30 10 -1\n"
)
CLOSING = ESTABLISHED.replace(" 01 ", " 08 ")


@pytest.fixture(scope="module")
def healthcheck(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", root / "infra/docker/healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tier(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path in ("/", "/file") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Says nothing."""


@pytest.fixture
def tier() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), type("OneTier", (Tier,), {})) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_tier_that_answers_is_well(healthcheck: ModuleType, tier: HTTPServer) -> None:
    assert healthcheck.main(["web", str(tier.server_port)]) == 0


def test_another_path_can_be_asked_for(healthcheck: ModuleType, tier: HTTPServer) -> None:
    assert healthcheck.main(["web", str(tier.server_port), "/file"]) == 0
    assert healthcheck.main(["web", str(tier.server_port), "/missing"]) == 1


def test_a_tier_that_answers_with_an_error_is_not(healthcheck: ModuleType, tier: HTTPServer) -> None:
    tier.RequestHandlerClass.status = 500  # type: ignore[attr-defined]
    assert healthcheck.main(["web", str(tier.server_port)]) == 1


def test_a_tier_that_does_not_listen_is_not_well_and_the_check_says_why(
    healthcheck: ModuleType, tier: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    port = tier.server_port
    tier.shutdown()
    tier.server_close()
    assert healthcheck.main(["web", str(port)]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "port", "expected"),
    [
        (ESTABLISHED, 19092, True),
        (ESTABLISHED, 9092, False),
        (CLOSING, 19092, False),
        (CLOSING + ESTABLISHED, 19092, True),
        ("", 19092, False),
    ],
    ids=["established", "another port", "closing", "one of several", "none"],
)
def test_only_an_established_connection_to_the_port_counts(
    healthcheck: ModuleType, tmp_path: Path, rows: str, port: int, expected: bool
) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + rows, "ascii")
    assert healthcheck.connected(port, [tmp_path / "absent", table]) is expected


def test_the_port_a_client_connects_from_does_not_count(healthcheck: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + ESTABLISHED, "ascii")
    assert healthcheck.connected(0xBB48, [table]) is False

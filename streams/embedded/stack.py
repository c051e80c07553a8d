"""A broker and a ClickHouse server on one data directory, for one user of this machine."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.core.errors import ServiceError
from streams.embedded.broker import Broker
from streams.embedded.directory_lock import locked
from streams.embedded.supervisor import Supervisor, module_command, module_environment

_STATE: Final = "embedded.json"
_LOCK: Final = "embedded.lock"
READY_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the two servers: Kafka's bootstrap `host:port`, and ClickHouse's URL."""

    kafka: str
    clickhouse: str


class EmbeddedStack:
    """A context manager that runs both servers. Inside it, `addresses` and `supervisor` are set.

    Workers spawned through `supervisor` are stopped before the servers. Raises `ServiceError` if another stack uses the
    directory, or a server does not start.
    """

    addresses: Addresses
    supervisor: Supervisor

    def __init__(self, data_dir: Path, broker: Broker, *, kafka_port: int = 0, clickhouse_port: int = 0) -> None:
        self._data_dir = data_dir.resolve()
        self._broker = broker
        self._ports = kafka_port, clickhouse_port
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(locked(self._data_dir, _LOCK))
            self.supervisor = opening.enter_context(Supervisor(self._data_dir / "logs"))
            clickhouse = start_clickhouse(self.supervisor, self._data_dir, self._ports[1])
            kafka = self._broker.start(self.supervisor, self._ports[0])
            self.addresses = Addresses(kafka, clickhouse)
            opening.enter_context(_announced(self._data_dir, self.addresses, self.supervisor.pids()))
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def running(data_dir: Path) -> Addresses | None:
    """Return the servers that another process runs on `data_dir`; None if there are none or one has died."""
    try:
        state = json.loads((data_dir / _STATE).read_text(encoding="utf-8"))
        addresses = Addresses(**state["addresses"])
        alive = all(_alive(pid) for pid in state["pids"].values())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return addresses if alive and _listens(addresses.kafka) and answers_ping(addresses.clickhouse) else None


@contextmanager
def clickhouse_only(data_dir: Path, *, wait_seconds: float = 30.0) -> Iterator[str]:
    """Yield the URL of ClickHouse on `data_dir`: the running server, or one started meanwhile.

    Waits up to `wait_seconds` while another command has locked the directory.
    """
    deadline = time.monotonic() + wait_seconds
    data_dir = data_dir.resolve()
    with ExitStack() as opened:
        while True:
            if addresses := running(data_dir):
                yield addresses.clickhouse
                return
            try:
                opened.enter_context(locked(data_dir, _LOCK))
                break
            except ServiceError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)
        supervisor = opened.enter_context(Supervisor(data_dir / "logs"))
        yield start_clickhouse(supervisor, data_dir)


def start_clickhouse(supervisor: Supervisor, data_dir: Path, port: int = 0) -> str:
    """Start ClickHouse on `data_dir`/clickhouse, wait until it answers SELECT 1, and return its URL."""
    if importlib.util.find_spec("chdb") is None:
        remedy = (
            "Install the extra `embedded`: `pip install '.[embedded]'`, or set ESCALON_CLICKHOUSE and ESCALON_KAFKA."
        )
        raise ServiceError("The ClickHouse engine is not installed.", remedy)
    port_file = data_dir / "clickhouse.port"
    port_file.unlink(missing_ok=True)
    argv = [*module_command("streams.embedded.clickhouse_server"), "--path", str(data_dir / "clickhouse")]
    argv += ["--port", str(port), "--port-file", str(port_file)]
    child = supervisor.spawn("clickhouse", argv, module_environment())

    def answers() -> bool:
        return port_file.exists() and _get(_url(port_file), "/?query=SELECT%201") == b"1\n"

    supervisor.wait_ready(child, answers, READY_SECONDS)
    return _url(port_file)


def answers_ping(url: str) -> bool:
    return _get(url, "/ping") == b"Ok.\n"


def _url(port_file: Path) -> str:
    return f"http://127.0.0.1:{int(port_file.read_text(encoding='ascii'))}"


def _get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except OSError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _announced(data_dir: Path, addresses: Addresses, pids: dict[str, int]) -> Iterator[None]:
    path = data_dir / _STATE
    draft = path.with_name(_STATE + ".part")
    state = {"pids": {"owner": os.getpid(), **pids}, "addresses": asdict(addresses)}
    draft.write_text(json.dumps(state, indent=2), encoding="utf-8")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)

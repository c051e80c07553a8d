"""The connection to ClickHouse, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final, Protocol
from urllib.parse import urlsplit

from streams.core.address import has_login, is_http, without_login
from streams.core.errors import ConfigError, ServiceError


class ClickHouseClient(Protocol):
    """The part of clickhouse-connect's client that escalon uses."""

    database: str | None

    def query(
        self,
        query: str,
        parameters: Mapping[str, object] | None = None,
        *,
        column_formats: Mapping[str, str] | None = None,
    ) -> Any: ...

    def command(
        self, cmd: str, parameters: Mapping[str, object] | None = None, *, settings: Mapping[str, object] | None = None
    ) -> object: ...

    def insert(self, table: str, data: Sequence[Sequence[object]], column_names: Sequence[str]) -> object: ...

    def raw_insert(self, table: str, column_names: Sequence[str], insert_block: bytes, *, fmt: str) -> object: ...

    def raw_stream(
        self, query: str, parameters: Mapping[str, object], *, fmt: str
    ) -> AbstractContextManager[IO[bytes]]: ...

    def close(self) -> None: ...


@contextmanager
def reporting_errors(remedy: str) -> Iterator[None]:
    """Raise ClickHouse's errors, and its silence, as ServiceError with a remedy."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except (ClickHouseError, OSError) as error:
        raise ServiceError(f"ClickHouse could not do it ({str(error)[:500]}).", remedy) from error


DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
READING = {"readonly": 2}
# On a cluster an insert is acknowledged when its rows are on their shards, not when they wait on the first server.
# A batch may hold events of any number of months, each of which is a partition.
WRITING = {"distributed_foreground_insert": 1, "max_partitions_per_insert_block": 0}

# Errors that waiting does not fix: words of the server or the client, their meaning, and the remedy.
_REFUSALS: Final = (
    (
        "AUTHENTICATION_FAILED",
        "refuses the user {username} with this password.",
        "Check ESCALON_CLICKHOUSE_USER and ESCALON_CLICKHOUSE_PASSWORD (or ESCALON_CLICKHOUSE_PASSWORD_FILE).",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "presents a certificate that is not signed by {ca}, or not issued for that address.",
        "Set ESCALON_CLICKHOUSE_CA_FILE to the authority of its certificate, and use the name in it.",
    ),
    (
        "SSLError(FileNotFoundError",
        "was not asked, because {ca} does not exist.",
        "Check the path in ESCALON_CLICKHOUSE_CA_FILE.",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "does not speak TLS at this port.",
        "Give the port of its TLS interface, or write http:// in ESCALON_CLICKHOUSE.",
    ),
    *(
        (
            words,
            "closes the connection without an answer.",
            "If it speaks TLS at this port, write https:// in ESCALON_CLICKHOUSE.",
        )
        for words in ("RemoteDisconnected", "ConnectionResetError")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseConfig:
    """The address of ClickHouse and the login. `url` is http://host:port or https://host:port."""

    url: str
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "escalon"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if has_login(self.url):
            remedy = "Set ESCALON_CLICKHOUSE_USER and ESCALON_CLICKHOUSE_PASSWORD instead."
            raise ConfigError("the address holds a login, which would end up in logs.", remedy, "ESCALON_CLICKHOUSE")
        if not is_http(self.url):
            raise ConfigError(
                f"{without_login(self.url)!r} is not an HTTP address.",
                "Write it as http://host:8123.",
                "ESCALON_CLICKHOUSE",
            )
        if not DATABASE.fullmatch(self.database):
            remedy = "Use letters, digits and underscores."
            raise ConfigError(f"{self.database!r} is not a valid name.", remedy, "ESCALON_CLICKHOUSE_DATABASE")

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (8443 if parts.scheme == "https" else 8123)

    def connect(self, *, database: str | None = None, readonly: bool = False) -> Any:
        """Return a clickhouse-connect client. Raises ServiceError when ClickHouse cannot be reached."""
        import clickhouse_connect  # here, so that a process without ClickHouse does not load it
        from clickhouse_connect.driver import options
        from clickhouse_connect.driver.exceptions import ClickHouseError

        options.pd = None  # as without Pandas, which the first insert would load where it is installed: 93 MiB
        parts = urlsplit(self.url)
        try:
            return clickhouse_connect.get_client(
                host=parts.hostname,
                port=self.port,
                interface=parts.scheme,
                username=self.username,
                password=self.password,
                database=self.database if database is None else database,
                ca_cert=self.ca_file,
                autogenerate_session_id=False,
                settings=READING if readonly else WRITING,
            )
        except (ClickHouseError, OSError) as error:
            raise self._refused(str(error)) from error

    def _refused(self, said: str) -> ServiceError:
        for words, what, remedy in _REFUSALS:
            if words in said:
                filled = what.format(username=self.username, ca=self.ca_file or "an authority that this machine knows")
                return ServiceError(f"ClickHouse at {self.url} {filled}", remedy)
        remedy = "Check that it runs, ESCALON_CLICKHOUSE, user and password; `escalon migrate` creates the database."
        return ServiceError(f"ClickHouse at {self.url} cannot be used ({said[:300]}).", remedy)

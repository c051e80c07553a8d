"""Remove secrets from logs and other output, as a last line of defence.

escalon's own texts hold none, but a library may quote the header or the address that it was given.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote, unquote

from streams.core.address import split_login

HIDDEN: Final = "[hidden]"
SHORTEST: Final = 6
"""The fewest characters of a value that is hidden; a shorter one would also occur in ordinary words."""
_NAME: Final = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS?|CONNECTION_STRING|_KEY)$|^AWS_BEARER_TOKEN_")
_HEADERS: Final = re.compile(r"^OTEL_EXPORTER_OTLP_(\w+_)?HEADERS$")
_ADDRESS: Final = re.compile(
    r"(^ESCALON_(BLOBS|KAFKA|CLICKHOUSE|SCHEMA_REGISTRY)$|_URL$|_ENDPOINT$|_PROXY$)", re.IGNORECASE
)


class Hider:
    """Replaces given values in texts by HIDDEN."""

    def __init__(self, values: Iterable[str]) -> None:
        spelt = {spelling for value in values for spelling in (value, quote(value, safe=""))}
        found = sorted((one for one in spelt if len(one) >= SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text


def environment_hider(environment: Mapping[str, str] | None = None) -> Hider:
    """Return a hider for every secret in the environment; a wrong setting does not make it raise."""
    return Hider(secrets_of(os.environ if environment is None else environment))


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets in an environment and in the files that it names, recognised by the variables' names."""
    for variable, value in environment.items():
        name = variable.removesuffix("_FILE")
        content = value.strip() if name == variable else _content(value)
        if _NAME.search(name):
            yield from _of_password(content, environment, name)
        elif _HEADERS.search(name):
            yield from _of_headers(content)
        elif _ADDRESS.search(name):
            _, user, password = split_login(content)
            yield from _of_login(user, password or "")


def _of_password(password: str, environment: Mapping[str, str], name: str) -> Iterator[str]:
    """Yield a password, and its login if the user name is in a variable with the usual name."""
    stem = name.removesuffix("PASSWORD")
    yield from _of_login(environment.get(f"{stem}USER") or environment.get(f"{stem}USERNAME"), password)


def _of_login(user: str | None, password: str) -> Iterator[str]:
    """Yield a password, and the login as HTTP encodes it."""
    yield password
    if user and password:
        yield b64encode(f"{user}:{password}".encode()).decode()


def _content(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: there is no home directory
        return ""


def _of_headers(value: str) -> Iterator[str]:
    """Yield each value of `name=value,name=value`, raw and decoded, with and without the scheme before it."""
    for pair in value.split(","):
        raw = pair.partition("=")[2].strip()
        for spelt in (raw, unquote(raw)):
            yield from (spelt, spelt.rpartition(" ")[2])


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in ("escalon", "streams")


class HidingFormatter(logging.Formatter):
    """Formats as usual, tracebacks included, then hides."""

    def __init__(self, style: str, hide: Callable[[str], str]) -> None:
        super().__init__(style)
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def hide_everywhere(hide: Callable[[str], str]) -> None:
    """Hide in what Python itself prints: log records without a handler, and uncaught exceptions.

    A library's log records without a handler are not printed, because its error is raised and reported as well.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(HidingFormatter("%(message)s", hide))
        logging.lastResort.addFilter(_is_own)

    def report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = report
    threading.excepthook = lambda args: report(args.exc_type, args.exc_value, args.exc_traceback)

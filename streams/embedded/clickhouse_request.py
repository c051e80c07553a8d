"""Parse an HTTP request: user, options, settings, parameters and external tables."""

from __future__ import annotations

import base64
import hmac
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, web

from streams.core.errors import ConfigError
from streams.embedded.clickhouse_protocol import TRANSPORT_PARAMETERS, QueryError

MAX_TYPES_CHARACTERS: Final = 10_000
"""A limit, because finding the commas between types takes quadratic time."""
_NAME = re.compile(r"\A[A-Za-z_]\w*\Z")
_OFF: Final = ("", "0", "false", "no")
# Options that would change the bytes or the rights of a client, and are not implemented.
_NOT_SERVED: Final[Mapping[str, str]] = {
    "decompress": "The embedded server does not read ClickHouse's own compressed blocks. Send plain bodies, or a"
    " Content-Encoding of gzip, deflate, lz4 or zstd (JDBC: compress.client.request=false, decompress=false).",
    "role": "The embedded server has no roles. Leave role out.",
}
_HEADER_PARAMETERS: Final = (("X-ClickHouse-Database", "database"), ("X-ClickHouse-Format", "default_format"))


@dataclass(frozen=True, slots=True)
class User:
    """A user that may log in; with an empty password any program on this machine may."""

    name: str
    password: str = field(repr=False)
    readonly: bool


DEFAULT_USERS: Final = (User("default", "", readonly=False), User("reader", "", readonly=True))


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """Data sent with a query, which is a temporary table for its duration."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A request without the body that may follow."""

    user: User
    options: Mapping[str, str]
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    external: tuple[ExternalTable, ...]
    query_id: str
    safe_method: bool
    """True for GET, which must not change anything."""

    def is_on(self, option: str) -> bool:
        return is_on(self.options, option)

    @property
    def readonly(self) -> bool:
        return self.user.readonly or self.safe_method or self.is_on("readonly")


def is_on(options: Mapping[str, str], option: str) -> bool:
    """True if a flag is set among the parameters of a URL."""
    return options.get(option, "0").lower() not in _OFF


def load_users(path: Path) -> tuple[User, ...]:
    """Read the users of a JSON file: a list of objects with name, password and readonly."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(User(row["name"], row["password"], readonly=row["readonly"]) for row in rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = f"{path} is not a list of users: {error!r}."
        raise ConfigError(what, 'Write each one as {"name": …, "password": …, "readonly": true|false}.') from error


def authenticate(request: web.Request, users: Iterable[User]) -> User:
    """Return the user named by the Basic header, ClickHouse's headers or the URL; raise QueryError if unknown."""
    name = request.headers.get("X-ClickHouse-User") or request.query.get("user") or ""
    password = request.headers.get("X-ClickHouse-Key") or request.query.get("password") or ""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(token).decode().partition(":")
        except ValueError:  # not Base64, or not of UTF-8
            raise QueryError(516, "The Authorization header is not Basic.", "AUTHENTICATION_FAILED") from None
    name = name or "default"
    for user in users:
        if user.name == name and hmac.compare_digest(user.password.encode(), password.encode("utf-8", "replace")):
            return user
    what = f"{_encodable(name)}: Authentication failed: password is incorrect, or there is no user with such name."
    raise QueryError(516, what, "AUTHENTICATION_FAILED")


def refuse_browsers(request: web.Request) -> None:
    """Refuse requests from web pages, because a browser on this machine lets any page post here."""
    host = request.host.rsplit(":", 1)[0]
    if host not in ("127.0.0.1", "localhost") or "Origin" in request.headers:
        raise QueryError(497, "The embedded server answers local programs only, not web pages.", "ACCESS_DENIED")


async def read_request(request: web.Request, users: Iterable[User], max_body_bytes: int) -> Request:
    """Parse a request without its plain body; a multipart form is read, up to `max_body_bytes`."""
    refuse_browsers(request)
    user = authenticate(request, users)
    options: dict[str, str] = dict(request.query)
    for header, name in _HEADER_PARAMETERS:
        if header in request.headers:
            options.setdefault(name, request.headers[header])
    files: dict[str, bytes] = {}
    if request.content_type == "multipart/form-data":
        try:
            files = await _read_form(request, options, max_body_bytes)
        except (ValueError, web.RequestPayloadError) as error:  # aiohttp raises these for a truncated form
            raise QueryError(36, "The form is not valid, or is truncated.", "BAD_ARGUMENTS") from error
    external = tuple(_external_table(name, data, options) for name, data in files.items())
    parameters = {name[6:]: options.pop(name) for name in list(options) if name.startswith("param_")}
    settings = {name: options.pop(name) for name in list(options) if name not in TRANSPORT_PARAMETERS}
    for name in settings:
        if not _NAME.match(name):
            raise QueryError(115, f"Unknown setting '{_encodable(name)}'.", "UNKNOWN_SETTING")
    _refuse_not_served(options)
    query_id = re.sub(r"[^\w.:-]", "", options.get("query_id", ""))[:100] or str(uuid.uuid4())
    safe_method = request.method == "GET"
    return Request(user, options, settings, parameters, external, query_id, safe_method)


def _refuse_not_served(options: Mapping[str, str]) -> None:
    for name, why in _NOT_SERVED.items():
        if is_on(options, name):
            raise QueryError(48, why, "NOT_IMPLEMENTED")


def refuse_native_revisions(request: Request, format_name: str | None) -> None:
    """Refuse the Native format of a later revision, whose blocks have fields that are not implemented."""
    if format_name == "Native" and request.is_on("client_protocol_version"):
        what = (
            "The embedded server supports the Native format of revision 0 only. Leave client_protocol_version out,"
            " or ask for another format, for example RowBinaryWithNamesAndTypes. clickhouse-go always sends it"
            " over HTTP: connect it to a ClickHouse server instead."
        )
        raise QueryError(48, what, "NOT_IMPLEMENTED")


async def _read_form(request: web.Request, options: dict[str, str], max_bytes: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = max_bytes
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise QueryError(36, "A nested or nameless form part.", "BAD_ARGUMENTS")
        data = bytearray()
        while chunk := await part.read_chunk(1 << 16):
            data += chunk
            left -= len(chunk)
            if left < 0:
                raise QueryError(36, f"The form is larger than {max_bytes} bytes.", "BAD_ARGUMENTS")
        if part.filename is None:
            options[part.name] = data.decode("utf-8", "replace")
        else:
            files[part.name] = bytes(data)
    return files


def _external_table(name: str, data: bytes, options: dict[str, str]) -> ExternalTable:
    if not _NAME.match(name):
        raise QueryError(36, "The name of external data is not an identifier.", "BAD_ARGUMENTS")
    if len(options.get(f"{name}_types", "")) > MAX_TYPES_CHARACTERS:
        raise QueryError(36, "The types of external data are too many.", "BAD_ARGUMENTS")
    types = re.split(r",(?![^(]*\))", options.pop(f"{name}_types", ""))
    unnamed = ", ".join(f"_{place} {kind}" for place, kind in enumerate(types, 1))
    structure = options.pop(f"{name}_structure", "") or unnamed
    return ExternalTable(name, structure, options.pop(f"{name}_format", "TabSeparated"), data)


def _encodable(text: str) -> str:
    """Replace each byte that was not UTF-8 by a question mark."""
    return text.encode("utf-8", "replace").decode()

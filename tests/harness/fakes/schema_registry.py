"""A fake of a Confluent-compatible schema registry: real HTTP on 127.0.0.1, schemas in memory.

    with SchemaRegistryServer() as server:
        ...  # register and fetch schemas at server.url
        server.status = 500  # from now on every request fails
        server.loading = 3  # as Karapace does while it loads, the next three requests find nothing
        server.conflicts = 2  # as Apicurio does, two registrations are refused, for others have just made them

It registers (POST /subjects/S/versions), looks up (POST /subjects/S), lists (GET /subjects) and serves schemas by id,
GUID, and subject with version (GET /schemas/ids/N, /schemas/guids/G, /subjects/S/versions/N). Equal schemas have one
id, in any subject. A Protobuf schema is served as text unless asked for with format=serialized. As a program
(`python -m tests.harness.fakes.schema_registry --port P`) it prints its address and serves until it is stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from tests.harness.http_thread import HttpThread

NOT_FOUND = {"error_code": 40403, "message": "Schema not found"}
NO_TOKEN = {"error_code": 401, "message": "no such token"}
NO_VERSION = {"error_code": 40402, "message": "Version not found"}
NO_SUBJECT = {"error_code": 40401, "message": "Subject not found"}


class SchemaRegistryServer(HttpThread):
    """Serves from entering to leaving the context."""

    def __init__(self, port: int = 0) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.status: int | None = None
        self.loading = 0
        self.conflicts = 0
        self.body: bytes | None = None
        """Answered to every request in place of JSON, with status 200 or `status`: the page of a gateway."""
        self.login: str | None = None
        """`user:password` that it asks for; it answers others with what they sent, as a careless one would."""
        self.tokens: Sequence[str] | None = None
        """The OAuth tokens that it accepts, instead of a login."""
        self._lock = threading.Lock()
        super().__init__(_handler(self), port)

    def register(self, subject: str, schema: str, kind: str = "AVRO", references: Sequence[Any] = ()) -> int:
        """The id of a schema, a new one if need be."""
        body: dict[str, Any] = {"schema": schema} | ({} if kind == "AVRO" else {"schemaType": kind})
        body |= {"references": list(references)} if references else {}
        with self._lock:
            number = next((known for known, held in self.schemas.items() if held == body), len(self.schemas) + 1)
            self.schemas[number] = body
            versions = self.subjects.setdefault(subject, [])
            if number not in versions:
                versions.append(number)
        return number

    def respond(self, method: str, path: str, body: Any, query: str = "") -> tuple[int, Any]:
        """Status and JSON of one request."""
        self.requests.append(f"{method} {path}")
        if self.status is not None:
            return self.status, {"error_code": self.status, "message": "told to fail"}
        if self.loading and method == "GET":
            self.loading -= 1
            return 404, NOT_FOUND
        if match := re.fullmatch(r"/schemas/ids/(\d+)", path):
            return self._schema(int(match[1]), query)
        if match := re.fullmatch(r"/schemas/guids/([0-9a-f-]+)", path):
            return self._schema(UUID(match[1]).int, query)
        if method == "GET" and path == "/subjects":
            return 200, sorted(self.subjects)
        if method == "GET" and (match := re.fullmatch(r"/subjects/([^/]+)/versions", path)):
            held = self.subjects.get(unquote(match[1]))
            return (200, [*range(1, len(held) + 1)]) if held else (404, NO_SUBJECT)
        if method == "GET" and (match := re.fullmatch(r"/subjects/([^/]+)/versions/(latest|-?\d+)", path)):
            held = self.subjects.get(unquote(match[1]), [])
            version = len(held) if match[2] in ("latest", "-1") else int(match[2])
            if not 1 <= version <= len(held):
                return 404, NO_VERSION if held else NO_SUBJECT
            status, found = self._schema(held[version - 1], query)
            return status, {"subject": unquote(match[1]), "version": version, "id": held[version - 1], **found}
        if method == "POST" and (match := re.fullmatch(r"/subjects/([^/]+)(?P<new>/versions)?", path)):
            return self._subject(unquote(match[1]), body, new=match["new"] is not None)
        return 404, {"error_code": 404, "message": f"nothing at {path}"}

    def refuses(self, authorization: str) -> tuple[int, Any] | None:
        """Return the refusal of a request with this header; None if it may pass."""
        token = b64encode((self.login or "").encode()).decode()
        if self.tokens is not None:
            return None if authorization.removeprefix("Bearer ") in self.tokens else (401, NO_TOKEN)
        if self.login is None or authorization == f"Basic {token}":
            return None
        return 401, {"error_code": 401, "message": f"no such login: {authorization}"}

    def _schema(self, number: int, query: str) -> tuple[int, Any]:
        found = self.schemas.get(number)
        if found is None:
            return 404, NOT_FOUND
        if found.get("schemaType") == "PROTOBUF" and "format=serialized" not in query:
            return 200, {**found, "schema": 'syntax = "proto3";', "guid": str(UUID(int=number))}
        return 200, {**found, "guid": str(UUID(int=number))}

    def _subject(self, subject: str, body: Any, *, new: bool) -> tuple[int, Any]:
        schema, kind, references = body["schema"], body.get("schemaType", "AVRO"), body.get("references") or ()
        if new and self.conflicts:
            self.conflicts -= 1
            if not self.conflicts:
                self.register(subject, schema, kind, references)
            return 409, {"error_code": 409, "message": f"An artifact with ID {subject!r} already exists."}
        if not new and not any(self.schemas[number]["schema"] == schema for number in self.subjects.get(subject, ())):
            return 404, NOT_FOUND
        number = self.register(subject, schema, kind, references)
        version = self.subjects[subject].index(number) + 1
        said = {"subject": subject, "id": number, "version": version, "guid": str(UUID(int=number))}
        return 200, said | {"schema": schema, "schemaType": kind, "references": list(references)}


def _handler(server: SchemaRegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            refused = server.refuses(self.headers.get("Authorization", ""))
            parts = urlsplit(self.path)
            status, value = refused or server.respond(self.command, parts.path, body, parts.query)
            data = json.dumps(value).encode() if server.body is None else server.body
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests look at `requests`."""

    return Handler


def _serve(port: int) -> None:
    with SchemaRegistryServer(port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake schema registry on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    _serve(parser.parse_args().port)

"""Fakes of Claude at Bedrock, Vertex and Foundry: their paths, logins, bodies, streams and errors."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.harness.fakes.messages_outcomes import Answer, Failure
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.fakes.messages_wire import events, wrong_with

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED012345678",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-access-key-0123456789",
    "AWS_SESSION_TOKEN": "planted-session-token-0123456789",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment of a login to AWS."""
GOOGLE_TOKEN = "ya29.planted-access-token-0123456789"


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of AWS's event stream encoding.

    https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html: lengths, their checksum, the headers,
    each a name and a value of type 7 (text), the payload, and the checksum of it all.
    """
    packed = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", zlib.crc32(message))


def chunk(event: Mapping[str, Any]) -> bytes:
    """One event of the Messages API as a chunk of Bedrock's stream."""
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abc"}).encode()
    return frame({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, payload)


class CloudServer(MessagesServer):
    """A fake that keeps each path and body as it came, in `sent`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.sent: list[tuple[str, Mapping[str, Any]]] = []


class BedrockServer(CloudServer):
    """InvokeModelWithResponseStream."""

    path = "/model/{model}/invoke-with-response-stream"
    id_header = "x-amzn-requestid"
    stream_type = "application/vnd.amazon.eventstream"

    def _as_sent_to_anthropic(self, request: web.Request, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append((request.raw_path, body))
        return {**body, "model": request.match_info["model"], "stream": True}

    def _wrong_with(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
        login = headers.get("authorization", "")
        signed = login.startswith("AWS4-HMAC-SHA256 Credential=") and "x-amz-date" in headers
        if not signed and not login.startswith("Bearer "):
            return Failure(403, "Missing Authentication Token")
        _, sent = self.sent[-1]
        if "anthropic_version" not in sent or {"model", "stream"} & set(sent):
            return Failure(400, "Malformed input request, please reformat your input and try again.")
        return wrong_with({"x-api-key": "signed"}, _without_version(body))

    def _error(self, failure: Failure, request_id: str) -> web.Response:
        headers = {self.id_header: request_id, **failure.headers}
        if failure.retry_after is not None:
            headers["retry-after"] = failure.retry_after
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    def _events(self, _: Mapping[str, Any], message: Mapping[str, Any], answer: Answer) -> list[bytes]:
        return [chunk(one) for one in events(message, answer.piece)]

    def _failed(self, error_type: str, _: str) -> bytes:
        headers = {":exception-type": error_type, ":content-type": "application/json", ":message-type": "exception"}
        return frame(headers, json.dumps({"message": "scripted failure"}).encode())


class VertexServer(CloudServer):
    """streamRawPredict, and the endpoint that gives access tokens."""

    path = "/projects/{project}/locations/{region}/publishers/anthropic/models/{model}:streamRawPredict"

    tokens = 0
    """Tokens that were asked for."""
    refused: str | None = None
    """The reason for which none is given."""

    def begin_again(self) -> None:
        """Forget the requests so far."""
        self.count = 0
        self.books.clear()
        self.requests.clear()
        self.sent.clear()

    def _add_routes(self, app: web.Application) -> None:
        app.router.add_post("/token", self._token)

    async def _token(self, _: web.Request) -> web.Response:
        self.tokens += 1
        if self.refused is not None:
            return web.json_response({"error": "invalid_grant", "error_description": self.refused}, status=400)
        return web.json_response({"access_token": GOOGLE_TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    def _as_sent_to_anthropic(self, request: web.Request, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append((request.raw_path, body))
        return {**body, "model": request.match_info["model"]}

    def _wrong_with(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
        if headers.get("authorization") != f"Bearer {GOOGLE_TOKEN}":
            return Failure(401, "Request had invalid authentication credentials.")
        _, sent = self.sent[-1]
        if "anthropic_version" not in sent or "model" in sent:
            return Failure(400, "anthropic_version: Field required")
        return wrong_with(headers, _without_version(body))

    def _error(self, failure: Failure, request_id: str) -> web.Response:
        headers = {self.id_header: request_id, **failure.headers}
        if failure.retry_after is not None:
            headers["retry-after"] = failure.retry_after
        details = {"code": failure.status, "message": failure.message, "status": "SCRIPTED"}
        return web.json_response({"error": details}, status=failure.status, headers=headers)


class FoundryServer(MessagesServer):
    """The Messages API at an address of Azure's."""

    path = "/anthropic/v1/messages"

    def _wrong_with(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Failure | None:
        if not headers.get("x-api-key") or "authorization" in headers:
            return Failure(401, "Access denied due to missing subscription key.")
        return wrong_with(headers, body)


def _without_version(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "anthropic_version"}


def google_login(directory: Path, token_url: str) -> Path:
    """Write the key file of a service account, which gets its tokens at an address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    account = {
        "type": "service_account",
        "project_id": "planted-project",
        "private_key_id": "planted",
        "private_key": key.private_bytes(serialization.Encoding.PEM, form, plain).decode(),
        "client_email": "escalon@planted-project.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
    file = directory / "service-account.json"
    file.write_text(json.dumps(account))
    return file

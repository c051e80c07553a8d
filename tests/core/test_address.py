"""An address is shown without the login it may hold, however broken it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.address import has_login, hide_logins, is_http, split_login, without_login


@pytest.mark.parametrize(
    ("address", "shown", "login"),
    [
        ("http://host:8123", "http://host:8123", (None, None)),
        ("http://me:s3cret@host:8123/x?y=1", "http://host:8123/x", ("me", "s3cret")),
        ("http://me:p%40ss@host", "http://host", ("me", "p@ss")),
        ("http://me:a@b@host", "http://host", ("me", "a@b")),
        ("me:s3cret@host:9092", "host:9092", ("me", "s3cret")),
        ("sftp://me@host/blobs", "sftp://host/blobs", ("me", None)),
        ("clickhouse://me:s[cret@host", "clickhouse://host", ("me", "s[cret")),
        ("file:///srv/blobs", "file:///srv/blobs", (None, None)),
    ],
)
def test_a_login_is_separated_from_the_address(address: str, shown: str, login: tuple[str | None, str | None]) -> None:
    assert without_login(address) == shown
    assert split_login(address)[1:] == login
    assert has_login(address) == (login != (None, None))


@given(st.text(alphabet=st.characters(exclude_characters="?"), min_size=1), st.sampled_from(["http://", "ftp://"]))
def test_nothing_before_an_at_is_ever_shown(password: str, scheme: str) -> None:
    assert without_login(f"{scheme}me:{password}@host:1") == f"{scheme}host:1"


@pytest.mark.parametrize(
    "address", ["ftp://host", "host:1", "http://", "http://host:port", "http://[::1", "http://host:0", "http://h:99999"]
)
def test_an_address_that_no_http_client_accepts_is_not_http(address: str) -> None:
    assert not is_http(address)


def test_an_ordinary_address_is_http() -> None:
    assert is_http("https://[::1]:8443/x")


def test_logins_in_another_program_s_text_are_hidden() -> None:
    said = "cannot reach ftp://me:s3cret@host/x or https://a:b@c@d, ask ops@example.com"
    assert hide_logins(said) == "cannot reach ftp://host/x or https://d, ask ops@example.com"

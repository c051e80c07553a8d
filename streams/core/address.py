"""Addresses of services, which may hold a login: told apart from it before anybody is shown one."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

# From the scheme, if there is one, to the last @ before the path: what stands there is a login, whatever the rest is.
_LOGIN = re.compile(r"(?P<scheme>^[\w+.-]*://|^)(?P<login>[^/?#]*)@")
_IN_TEXT = re.compile(r"(?<=://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")


def has_login(address: str) -> bool:
    """Whether a user or a password stands before the host."""
    return _LOGIN.match(address) is not None


def without_login(address: str) -> str:
    """The address as it may be shown: without parameters, and without anything before an @, which may be a login."""
    scheme, separator, rest = address.partition("://")
    shown = (rest if separator else scheme).partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{shown}" if separator else shown


def split_login(address: str) -> tuple[str, str | None, str | None]:
    """The address without its login, the user, and the password; None for what it does not hold."""
    found = _LOGIN.match(address)
    if found is None:
        return address, None, None
    user, colon, password = found["login"].partition(":")
    rest = address[: found.start("login")] + address[found.end() :]
    return rest, unquote(user) or None, unquote(password) if colon else None


def is_http(address: str) -> bool:
    """Whether it is http://host or https://host, with a port that can be one."""
    try:
        parts: SplitResult = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets or a port that are none
        return False


def hide_logins(text: str) -> str:
    """A text of somebody else's without the logins of addresses in it."""
    return _IN_TEXT.sub("", text)

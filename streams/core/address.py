"""Addresses of services, which may hold a login that must not be shown."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

# The login is the text between the scheme, if any, and the last @ before the path.
_LOGIN = re.compile(r"(?P<scheme>^[\w+.-]*://|^)(?P<login>[^/?#]*)@")
_IN_TEXT = re.compile(r"(?<=://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")


def has_login(address: str) -> bool:
    return _LOGIN.match(address) is not None


def without_login(address: str) -> str:
    """Return the address as it may be shown: without parameters, and without anything before an @."""
    scheme, separator, rest = address.partition("://")
    shown = (rest if separator else scheme).partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{shown}" if separator else shown


def split_login(address: str) -> tuple[str, str | None, str | None]:
    """Return the address without its login, the user, and the password; None for each that is missing."""
    found = _LOGIN.match(address)
    if found is None:
        return address, None, None
    user, colon, password = found["login"].partition(":")
    rest = address[: found.start("login")] + address[found.end() :]
    return rest, unquote(user) or None, unquote(password) if colon else None


def is_http(address: str) -> bool:
    try:
        parts: SplitResult = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # for invalid brackets or ports
        return False


def is_loopback(address: str) -> bool:
    """True if an HTTP address is one of this machine's own."""
    host = (urlsplit(address).hostname or "") if is_http(address) else ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def hide_logins(text: str) -> str:
    """Remove the logins of addresses from a text, such as a library's error message."""
    return _IN_TEXT.sub("", text)

"""Links: a rater's, whose signed token says whose it is, from when and until when; and the operator's."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from itsdangerous import BadData, URLSafeSerializer

from streams.app.settings import Settings
from streams.core.errors import ConfigError
from streams.core.messages import Panel, PanelRater

KEY_FILE: Final = "ui.key"
KEY_BYTES: Final = 32
LEAST_KEY: Final = 16
OPERATOR_PATH: Final = "/o"
OPERATOR_DIGITS: Final = 32
"""So that the whole link fits into a terminal of 80 columns."""
LinkFault = Literal["link invalid", "link expired", "link revoked"]


@dataclass(frozen=True, slots=True)
class PanelLink:
    """The content of a token. Times are in UTC, to the microsecond."""

    panel: str
    rater: str
    issued_at: datetime
    expires_at: datetime


class LinkSigner:
    """Makes and reads tokens with one secret key."""

    def __init__(self, key: str) -> None:
        self._key = key
        digest = {"digest_method": hashlib.sha256}
        self._tokens = URLSafeSerializer(key, salt="escalon panel link", signer_kwargs=digest)

    def token(self, link: PanelLink) -> str:
        """Return a link's content as signed text that fits into an address."""
        return str(self._tokens.dumps([link.panel, link.rater, *map(_micros, (link.issued_at, link.expires_at))]))

    def read(self, token: str) -> PanelLink | None:
        """Return what a token says; None if its signature is wrong."""
        try:
            panel, rater, issued_at, expires_at = self._tokens.loads(token)
        except (BadData, ValueError, TypeError):
            return None
        return PanelLink(panel, rater, _time(issued_at), _time(expires_at))

    def operator_token(self) -> str:
        """Return the token of the operator's link: 128 bits as hex, the same as long as the key is."""
        return self._keyed("operator")[:OPERATOR_DIGITS]

    def is_operator(self, token: str) -> bool:
        """True if a token is the operator's."""
        return hmac.compare_digest(token.encode(), self.operator_token().encode())

    def form_token(self, token: str) -> str:
        """Return the value that a form must send back in the session of `token` (against request forgery)."""
        return self._keyed(f"form {token}")

    def _keyed(self, text: str) -> str:
        return hmac.new(self._key.encode(), text.encode(), hashlib.sha256).hexdigest()


def person_of(link: PanelLink, panel: Panel | None, now: datetime) -> PanelRater | LinkFault:
    """Return the person whose link it is, or the reason why it does not work."""
    if link.expires_at <= now:
        return "link expired"
    person = next((one for one in panel.people if one.name == link.rater), None) if panel is not None else None
    if person is None or link.issued_at < person.links_from:
        return "link revoked"
    return person


def new_link(panel: str, rater: str, now: datetime, lasts: timedelta) -> PanelLink:
    """Return a link of a rater from now on."""
    return PanelLink(panel, rater, now, now + lasts)


def operator_link(settings: Settings, address: str) -> str:
    """Return the link that opens the operator's pages; `address` is the server's, used without ESCALON_UI_URL.

    Raises ConfigError if the key cannot be used.
    """
    base = (settings.ui_url or address).rstrip("/")
    return f"{base}{OPERATOR_PATH}/{LinkSigner(signing_key(settings)).operator_token()}"


def signing_key(settings: Settings) -> str:
    """Return ESCALON_UI_KEY, or the key in the data directory, which is made once.

    Raises ConfigError if the key is too short or its file cannot be used.
    """
    if settings.ui_key is not None:
        return _checked(settings.ui_key, "ESCALON_UI_KEY")
    file = settings.data_dir / KEY_FILE
    try:
        return _checked(_read_or_make(file), str(file))
    except OSError as error:
        what = f"the key {file} cannot be used ({error.strerror})."
        raise ConfigError(what, "Check the directory ESCALON_DATA, or set ESCALON_UI_KEY.", "ESCALON_UI_KEY") from error


def _read_or_make(file: Path) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(KEY_BYTES), encoding="ascii")
        try:
            os.link(draft, file)  # fails if another process was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text("ascii").strip()


def _checked(key: str, source: str) -> str:
    if len(key) < LEAST_KEY:
        what = f"the key has {len(key)} characters, so links could be forged."
        raise ConfigError(what, f"Give at least {LEAST_KEY} random ones: `openssl rand -hex 32`.", source)
    return key


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

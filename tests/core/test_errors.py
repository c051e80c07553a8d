"""The family of errors says what broke, whose fault it is and what to do."""

from __future__ import annotations

from streams.core.errors import (
    ConfigError,
    EscalonError,
    HandlerError,
    ModelError,
    ServiceError,
    UnreadableError,
)


def test_an_error_says_what_and_then_the_remedy() -> None:
    assert str(EscalonError("It broke.", "Mend it.")) == "It broke. Mend it."
    assert str(EscalonError("It broke.")) == "It broke."


def test_a_configuration_error_names_its_key_first_and_once() -> None:
    error = ConfigError("unknown key.", "Remove it.", "listeners.seen.kin")
    assert str(error) == "listeners.seen.kin: unknown key. Remove it."
    again = ConfigError(error.what, error.remedy, error.key)
    assert str(again) == str(error)
    assert str(ConfigError("no file.")) == "no file."


def test_a_model_error_says_whether_and_when_to_try_again() -> None:
    error = ModelError("rate_limited", "Too many.", retryable=True, retry_after=3.0, request_id="r")
    assert (error.error_type, error.retryable, error.retry_after, error.request_id) == ("rate_limited", True, 3.0, "r")


def test_every_error_says_whose_fault_it_is() -> None:
    assert ConfigError("x").fault == "operator"
    assert UnreadableError("empty", "x").fault == "producer"
    assert UnreadableError("empty", "x").reason == "empty"
    assert ModelError("timeout", "x", retryable=True).fault == "provider"
    assert HandlerError("x").fault == "handler"
    assert ServiceError("x").fault == "infrastructure"

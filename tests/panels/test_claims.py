"""Claims: the texts that are read, and the texts that are refused with a remedy."""

from __future__ import annotations

import pytest

from streams.core.errors import ConfigError
from streams.panels.claims import ErrorClaim, PreferenceClaim, read_claim


@pytest.mark.parametrize("text", ["error <= 0.05", "error<=.05", " Error <= 5 % ", "error < 5%"])
def test_an_error_claim_may_be_a_share_or_a_percentage(text: str) -> None:
    assert read_claim(text) == ErrorClaim(0.05)


@pytest.mark.parametrize("text", ["reasoner better than worker", "reasoner is  better than worker"])
def test_a_preference_names_the_better_option_first(text: str) -> None:
    assert read_claim(text, ("worker", "reasoner")) == PreferenceClaim("reasoner", "worker")


def test_a_claim_prints_as_it_is_read() -> None:
    for text in ("error <= 0.05", "error <= 0.125", "again better than live"):
        assert str(read_claim(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quality >= 0.9", "not a claim"),
        ("error <= x", "not a claim"),
        ("error <= 5", "between 0 and 1"),
        ("error <= 0", "between 0 and 1"),
        ("error <= 100 %", "between 0 and 1"),
        ("worker better than worker", "than itself"),
        ("worker better than gpt", "no option 'gpt'.*worker and reasoner"),
    ],
)
def test_a_wrong_claim_is_refused_with_the_key_and_a_remedy(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_claim(text, ("worker", "reasoner"))
    assert (caught.value.key, bool(caught.value.remedy)) == ("claim", True)


def test_a_panel_without_a_comparison_cannot_decide_a_preference() -> None:
    with pytest.raises(ConfigError, match="--compare worker,reasoner"):
        read_claim("worker better than reasoner", ("outcome",))


def test_a_rubric_without_the_question_cannot_decide_the_claim() -> None:
    with pytest.raises(ConfigError, match="means_right"):
        read_claim("error <= 0.05", asks_error=False)
    with pytest.raises(ConfigError, match='type "pick"'):
        read_claim("worker better than reasoner", asks_error=False, asks_pick=False)

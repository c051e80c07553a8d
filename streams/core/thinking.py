"""Models that think before they answer: the room that thinking needs in max_tokens, and its settings.

Thinking counts towards max_tokens and is billed as output. If it uses all of them, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.core.errors import ConfigError

ROOM = 8192
"""Tokens for thinking beside the answer, if the model decides how much it thinks."""
TOO_FEW = 4096
"""With fewer max_tokens, a model that thinks may never reach its answer."""
MOST_MAX_TOKENS = 128_000
LEAST_BUDGET = 1024
"""The least budget_tokens, by the provider's documentation."""
_ON = ("adaptive", "enabled")
_OFF = ("disabled", "between_tools")
_HIGHEST_EFFORTS = ("xhigh", "max")
# As in claude-opus-5-5, anthropic.claude-haiku-4-5-20251001-v1:0 and anthropic/claude-sonnet-4.6.
_NAME = re.compile(r"claude-[a-z]+-\d{1,2}(?:[-.]\d{1,2})?(?!\d)")


@dataclass(frozen=True, slots=True)
class ThinkingModel:
    """A model's default, `thinks`, and the types of the parameter `thinking` that it accepts."""

    name: str
    thinks: bool
    takes: tuple[str, ...]

    @property
    def off(self) -> str | None:
        """The type that switches thinking off; None if the model has none."""
        return next((one for one in _OFF if one in self.takes), None)


@dataclass(frozen=True, slots=True)
class ThinkingModels:
    models: Mapping[str, ThinkingModel]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> ThinkingModels:
        """Read `{"models": {name: {"thinks": bool, "takes": [type]}}}`."""
        rows = data["models"].items()
        return cls({name: ThinkingModel(name, row["thinks"], tuple(row["takes"])) for name, row in rows})

    def find(self, model: str) -> ThinkingModel | None:
        """Find a model by any provider's name for it, dated or not; None if it is unknown."""
        found = _NAME.search(model)
        return self.models.get(found[0].replace(".", "-")) if found else None


def thinks(known: ThinkingModel | None, parameters: Mapping[str, Any]) -> bool:
    """True if a model thinks with these parameters; an unknown one only if they switch it on."""
    given = parameters.get("thinking")
    if isinstance(given, Mapping):
        return given.get("type") in _ON
    return known is not None and known.thinks


def default_max_tokens(answer: int, known: ThinkingModel | None, parameters: Mapping[str, Any]) -> int:
    """Return tokens for an answer of at most `answer` tokens and the thinking before it."""
    if not thinks(known, parameters):
        return answer
    given = parameters.get("thinking")
    budget = given.get("budget_tokens") if isinstance(given, Mapping) else None
    return min(answer + (budget if isinstance(budget, int) else ROOM), MOST_MAX_TOKENS)


def check_thinking(known: ThinkingModel | None, parameters: Mapping[str, Any], max_tokens: int) -> None:
    """Raise ConfigError for a `thinking` setting that the provider rejects."""
    given = parameters.get("thinking")
    if given is None:
        return
    kind = given.get("type") if isinstance(given, Mapping) else None
    takes = known.takes if known else (*_ON, *_OFF)
    if kind not in takes:
        what = f"{known.name if known else 'Claude'} does not take thinking.type = {kind!r}."
        raise ConfigError(what, f"Leave `thinking` out, or use {' or '.join(map(repr, takes))}.", "parameters.thinking")
    if kind == "enabled":
        _check_budget(given.get("budget_tokens"), max_tokens)
    effort = parameters.get("effort")
    if kind in _OFF and effort in _HIGHEST_EFFORTS and known is not None and known.thinks:
        what = f"thinking cannot be switched off at effort {effort!r}."
        raise ConfigError(what, "Lower the effort to high, or let it think.", "parameters.effort")


def _check_budget(budget: object, max_tokens: int) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < LEAST_BUDGET:
        what = f"budget_tokens is {budget!r}, but must be at least {LEAST_BUDGET}."
        raise ConfigError(what, "Raise it, or switch thinking off.", "parameters.thinking.budget_tokens")
    if budget >= max_tokens:
        what = f"max_tokens = {max_tokens} leaves nothing for the answer after {budget} tokens of thinking."
        raise ConfigError(what, f"Raise it to {budget} plus the tokens that the answer needs.", "max_tokens")


def warn_of_few_tokens(known: ThinkingModel | None, parameters: Mapping[str, Any], max_tokens: int) -> str | None:
    """Return a warning with its remedy if thinking may leave no tokens for the answer, else None."""
    given = parameters.get("thinking")
    budget = given.get("budget_tokens") if isinstance(given, Mapping) else None
    if not thinks(known, parameters) or max_tokens >= TOO_FEW or isinstance(budget, int):
        return None
    off = known.off if known else "disabled"
    switch = f'set parameters = {{ thinking = {{ type = "{off}" }} }}' if off else 'set parameters = { effort = "low" }'
    return (
        f"{known.name if known else 'the model'} thinks before it answers. That counts towards "
        f"max_tokens = {max_tokens} and is billed as output, so replies may be cut off. "
        f"Raise max_tokens to {TOO_FEW} or more, or {switch}."
    )

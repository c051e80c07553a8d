"""Prompt templates: sandboxed Jinja2 with a block `system` and a block `user`.

An event's text is only ever a value in a template, never a template, so it can neither run nor read anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from streams.core.errors import ConfigError, HandlerError

BLOCKS = ("system", "user")
FENCE = "event"
_MARK = re.compile(rf"<(?=\s*/?\s*{FENCE})", re.IGNORECASE)


def fenced(text: object) -> str:
    """Text in a marked block, so that a model can tell data from instructions.

    A mark inside the text, however spelt, is broken up: an event cannot end its own fence.
    """
    body = _MARK.sub("<\u200b", str(text))
    return f"<{FENCE}>\n{body}\n</{FENCE}>"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["fenced"] = fenced
    return environment


class PromptTemplate:
    """One template file, compiled. `source` is what the handler's version is hashed from."""

    def __init__(self, source: str, name: str, key: str) -> None:
        self.source = source
        self.name = name
        try:
            self._template = _environment().from_string(source)
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"{name}, line {error.lineno}: {error.message}", "Mend the template's syntax.", key
            ) from error
        missing = [block for block in BLOCKS if block not in self._template.blocks]
        if missing:
            raise ConfigError(
                f"{name} has no block {' and no block '.join(missing)}",
                "A prompt template has {% block system %}…{% endblock %} and {% block user %}…{% endblock %}.",
                key,
            )

    def render(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The system part and the user part, trimmed."""
        try:
            context = self._template.new_context(dict(variables))
            system, user = ("".join(self._template.blocks[block](context)).strip() for block in BLOCKS)
        except Exception as error:  # a template can raise whatever its expressions do
            raise HandlerError(
                f"The prompt {self.name} could not be rendered: {error}.", "Mend the template."
            ) from error
        return system, user

"""Prompt templates: sandboxed Jinja2 with a block `system` and a block `user`.

An event's text is only ever a value in a template, never a template, so it can neither run nor read anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jinja2 import TemplateSyntaxError
from jinja2.exceptions import SecurityError

from streams.core.errors import ConfigError, HandlerError
from streams.pipeline.fence import unfenced
from streams.pipeline.sandbox import Sandbox, forbidden, limited

BLOCKS = ("system", "user")
FENCE = "event"
MAX_PROMPT_BYTES: Final = 600_000
"""Both parts together, in UTF-8. With the longest reply beside it, a call still fits into a message."""
# Between the bracket and the name also what is not seen: a model may read over it.
_UNSEEN = r"[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"
# One run of it at a time: two that could share a run would take a time quadratic in its length.
_MARK = re.compile(rf"<(?={_UNSEEN}(?:/{_UNSEEN})?{FENCE})", re.IGNORECASE)


def fenced(text: object) -> str:
    """Text in a marked block, so that a model can tell data from instructions.

    A mark inside the text, however spelt, is broken up: an event cannot end its own fence.
    """
    body = _MARK.sub("<\u200b", str(text))
    return f"<{FENCE}>\n{body}\n</{FENCE}>"


class PromptTemplate:
    """One template file, compiled. `source` is what the handler's version is hashed from.

    `unfenced` is where it prints an event's words outside a fence.
    """

    def __init__(self, source: str, name: str, key: str) -> None:
        self.source = source
        self.name = name
        try:
            environment = Sandbox(fenced=fenced)
            tree = environment.parse(source)
            self.unfenced = unfenced(tree)
            if found := forbidden(tree):
                what = f"{name}, line {found.line}: {found.what} may not be used in a prompt."
                raise ConfigError(what, f"Use one of: {', '.join(found.allowed)}.", key)
            self._template = environment.from_string(environment.metered(tree))
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"{name}, line {error.lineno}: {error.message}", "Mend the template's syntax.", key
            ) from error
        except AssertionError as error:  # a name that jinja2 cannot place
            raise ConfigError(f"{name}: {error}.", "Mend the template's syntax.", key) from error
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
            with limited():
                system, user = (_joined(self._template.blocks[block](context)).strip() for block in BLOCKS)
        except Exception as error:  # a template can raise whatever its expressions do
            raise HandlerError(
                f"The prompt {self.name} could not be rendered: {error}.", "Mend the template."
            ) from error
        size = len(system.encode("utf-8", "replace")) + len(user.encode("utf-8", "replace"))
        if size > MAX_PROMPT_BYTES:
            what = f"The prompt {self.name} has {size} bytes, {MAX_PROMPT_BYTES} are allowed."
            raise HandlerError(what, "Give it less of the event, by `inputs` or by a filter such as truncate.")
        return system, user


def _joined(pieces: Iterable[str]) -> str:
    """The pieces as one, no more of them than a prompt may have."""
    kept, size = [], 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > MAX_PROMPT_BYTES:
            raise SecurityError(f"it has more than {MAX_PROMPT_BYTES} characters")
    return "".join(kept)

"""Prompt templates: sandboxed Jinja2 with a block `system` and a block `user`.

An event's text is only ever a value in a template, never a template, so it can neither run nor read anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from streams.core.errors import ConfigError, HandlerError
from streams.pipeline.fence import unfenced

BLOCKS = ("system", "user")
FENCE = "event"
MAX_PROMPT_BYTES: Final = 600_000
"""Both parts together, in UTF-8. With the longest reply beside it, a call still fits into a message."""
MAX_NUMBER: Final = 1_000_000
"""The largest number that a template may repeat, widen or raise something by."""
_WIDE = re.compile(r"[*]|[0-9]{5,}")
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


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that is also small: no expression makes much out of little, whatever number an event gives it."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Work out one of the operators that make much out of little."""
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "**":
            _check_numbers(left, right)
            _check_numbers(*([len(str(left)) * right] if isinstance(right, int) else []))
        elif operator == "*":
            sizes = [len(one) for one in (left, right) if isinstance(one, (str, list, tuple))]
            numbers = [one for one in (left, right) if isinstance(one, int)]
            _check_numbers(*(size * number for size in sizes for number in numbers))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, call: Any, *arguments: Any, **named: Any) -> Any:
        """Call what a template calls, if its numbers are no danger."""
        _check_numbers(*arguments, *named.values())
        if getattr(call, "__name__", "") in ("format", "format_map"):
            _check_format(str(getattr(call, "__self__", "")))
        return super().call(context, call, *arguments, **named)


def _check_numbers(*values: Any) -> None:
    if any(isinstance(one, (int, float)) and not abs(one) <= MAX_NUMBER for one in values):
        raise SecurityError(f"a number over {MAX_NUMBER} would make the prompt too large")


def _check_format(text: str) -> None:
    if _WIDE.search(text):
        raise SecurityError("a format with so large a width would make the prompt too large")


def _narrow(name: str) -> Any:
    """A filter of jinja2 whose numbers are checked; none of those wrapped asks for its environment."""
    inner = FILTERS[name]

    def checked(value: Any, *arguments: Any, **named: Any) -> Any:
        _check_numbers(*arguments, *named.values())
        if name == "format":
            _check_format(str(value))
        return inner(value, *arguments, **named)

    return checked


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {name: _narrow(name) for name in ("batch", "center", "format", "indent")}
    environment.filters["fenced"] = fenced
    return environment


class PromptTemplate:
    """One template file, compiled. `source` is what the handler's version is hashed from.

    `unfenced` is where it prints an event's words outside a fence.
    """

    def __init__(self, source: str, name: str, key: str) -> None:
        self.source = source
        self.name = name
        try:
            environment = _environment()
            self._template = environment.from_string(source)
            self.unfenced = unfenced(environment.parse(source))
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

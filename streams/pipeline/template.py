"""Prompt templates: a small part of Jinja2, with a block `system` and a block `user`.

An event's text is a value in a template, never a template, so it can neither run nor read anything.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import LoopContext
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import htmlsafe_json_dumps

from streams.core.errors import ConfigError, HandlerError
from streams.pipeline.prompt_language import BLOCKS, FILTERS, TESTS, NotAllowedError, check

FENCE = "event"
MAX_PROMPT_BYTES: Final = 600_000
"""Both parts together, in UTF-8. With the longest reply beside it, a call still fits into a message."""
# Invisible characters may stand between the bracket and the name: a model may read over them.
_UNSEEN = r"[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"
# One run of it at a time: two that could share a run would take a time quadratic in its length.
_MARK = re.compile(rf"<(?={_UNSEEN}(?:/{_UNSEEN})?{FENCE})", re.IGNORECASE)


def fenced(text: object) -> str:
    """Put text into a marked block, so that a model can distinguish data from instructions.

    A mark inside the text, however it is spelt, is broken up: an event cannot end its own fence.
    """
    body = _MARK.sub("<\u200b", str(text))
    return f"<{FENCE}>\n{body}\n</{FENCE}>"


class PromptTemplate:
    """One template file, compiled. `source` is what the handler's version is hashed from.

    `unfenced` is where it prints an event's words outside a fence, `names` all that its expressions name.
    """

    def __init__(self, source: str, name: str, key: str) -> None:
        self.source = source
        self.name = name
        environment = _Environment()
        try:
            tree = environment.parse(source)
            _check_has_blocks(tree, name, key)
            self.unfenced = check(tree)
            environment.check_arguments(tree)
            self.names = frozenset(one.name for one in tree.find_all(nodes.Name))
            self._template = environment.from_string(tree)
        except NotAllowedError as error:
            what = f"{name}, line {error.line}: {error.what} cannot be used in a prompt."
            raise ConfigError(what, error.remedy, key) from error
        except TemplateSyntaxError as error:
            what = f"{name}, line {error.lineno}: {(error.message or 'it is not valid').rstrip('.')}."
            raise ConfigError(what, "Fix the template's syntax.", key) from error
        except UndefinedError as error:  # of a constant expression, which is computed at once
            raise ConfigError(f"{name}: {error.message}", "Correct the expression.", key) from error
        except AssertionError as error:  # a name that jinja2 cannot place
            raise ConfigError(f"{name}: {error}.", "Fix the template's syntax.", key) from error
        except (RecursionError, SyntaxError, ValueError) as error:
            what = f"{name} cannot be compiled: {error}."
            raise ConfigError(what, "Write it with fewer levels and shorter numbers.", key) from error

    def render(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """Return the system part and the user part, trimmed."""
        try:
            context = self._template.new_context(dict(variables))
            system, user = (_joined(self._template.blocks[block](context)).strip() for block in BLOCKS)
        except Exception as error:  # an expression can raise anything
            what = f"The prompt {self.name} could not be rendered: {error}."
            optional = " Write `| default('')` after a field that may be missing."
            remedy = f"Fix the template.{optional if isinstance(error, UndefinedError) else ''}"
            raise HandlerError(what, remedy) from error
        size = len(system.encode("utf-8", "replace")) + len(user.encode("utf-8", "replace"))
        if size > MAX_PROMPT_BYTES:
            what = f"The prompt {self.name} has {size} bytes, {MAX_PROMPT_BYTES} are allowed."
            raise HandlerError(what, "Give it less of the event, by `inputs` or by a filter such as truncate.")
        return system, user


def _check_has_blocks(tree: nodes.Template, name: str, key: str) -> None:
    present = {block.name for block in tree.find_all(nodes.Block)}
    missing = [block for block in BLOCKS if block not in present]
    if missing:
        raise ConfigError(
            f"{name} has no block {' and no block '.join(missing)}",
            "A prompt template has {% block system %}…{% endblock %} and {% block user %}…{% endblock %}.",
            key,
        )


class _Environment(Environment):
    """Jinja2 with the filters and tests of prompts, no globals, and fields of plain data instead of attributes."""

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self.globals = {}
        own = {"fenced": fenced, "items": _items, "join": _join, "tojson": _json}
        self.filters = {name: own.get(name) or JINJA_FILTERS[name] for name in FILTERS}
        self.tests = {name: JINJA_TESTS[name] for name in TESTS}

    def check_arguments(self, tree: nodes.Template) -> None:
        """Raise NotAllowedError for a filter or a test with arguments that it does not take."""
        for node in tree.find_all((nodes.Filter, nodes.Test)):
            function: Any = (self.filters if isinstance(node, nodes.Filter) else self.tests)[node.name]
            given = [None] * (2 if hasattr(function, "jinja_pass_arg") else 1)  # the environment, and the value
            signature = inspect.signature(function)
            try:
                signature.bind(*given, *node.args, **{str(one.key): one.value for one in node.kwargs})
            except TypeError as error:
                taken = list(signature.parameters)[len(given) :]
                what = f"The {type(node).__name__.lower()} {node.name} with these arguments"
                raise NotAllowedError(what, node.lineno, f"It takes {', '.join(taken) or 'no arguments'}.") from error

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field of a record, a mapping or `loop`; undefined for anything else, such as a method."""
        if isinstance(obj, LoopContext) or (is_dataclass(obj) and attribute in obj.__dataclass_fields__):
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a mapping, a list or a text; undefined where there is none."""
        if isinstance(obj, (Mapping, list, tuple, str)):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)


def _items(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(value.items())


def _join(value: Iterable[Any], between: str = "") -> str:
    if isinstance(value, str):
        raise TypeError("join takes a list, and this is a text")
    return between.join(map(str, value))


def _json(value: Any) -> str:
    return str(htmlsafe_json_dumps(value))


def _joined(pieces: Iterable[str]) -> str:
    """Join the pieces; raise ValueError as soon as they are more than a prompt may have."""
    kept, size = [], 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > MAX_PROMPT_BYTES:
            raise ValueError(f"it has more than {MAX_PROMPT_BYTES} characters")
    return "".join(kept)

"""The table `[source]`: the user's own topics, and what makes an event of a record. docs/pipeline.md explains it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, model_validator

from streams.pipeline.selector import Selector, selector
from streams.pipeline.values import StrictTable

Format = Literal["plain", "cloudevents", "debezium"]
Scalar = str | int | float | bool
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _selectors(value: Any) -> tuple[Selector, ...]:
    found = tuple(map(_selector, _listed(value)))
    if not found:
        raise ValueError("the list is empty")
    return found


def _selector(value: Any) -> Selector:
    return value if isinstance(value, Selector) else selector(value)


def _data(value: Any) -> Selector | dict[str, Selector]:
    if isinstance(value, Mapping):
        return {name: _selector(one) for name, one in value.items()}
    return _selector(value)


def _conditions(value: Any) -> dict[Selector, frozenset[str]]:
    if not isinstance(value, Mapping):
        raise ValueError('write a table such as where = { "header:type" = "order", "/status" = ["open", "new"] }')
    return {_selector(place): frozenset(map(_wanted, _listed(wanted))) for place, wanted in value.items()}


def _wanted(value: Any) -> str:
    if not isinstance(value, Scalar):
        raise ValueError(f"{value!r:.100} is not a value to compare with. Write text, a number, true or false")
    return as_text(value)


def as_text(value: Any) -> str:
    """Return a scalar as the text that filters compare: numbers and booleans as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _topics(value: Any) -> tuple[str, ...]:
    found = _listed(value)
    for one in found:
        if not isinstance(one, str) or not _TOPIC.fullmatch(one):
            raise ValueError(f"{one!r:.100} cannot be the name of a topic; for several topics use pattern")
    if len(set(found)) != len(found):
        raise ValueError("a topic is named twice")
    return found


def _pattern(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except (re.error, TypeError) as error:
        raise ValueError(f"{value!r:.100} is not a regular expression ({error})") from error


OnePlace = Annotated[Selector, PlainValidator(_selector)]
Places = Annotated[tuple[Selector, ...], PlainValidator(_selectors)]
Conditions = Annotated[dict[Selector, frozenset[str]], PlainValidator(_conditions)]


class SourceSpec(StrictTable):
    """Topics of one format, and the mapping of their records."""

    topics: Annotated[tuple[str, ...], PlainValidator(_topics)] = ()
    pattern: Annotated[re.Pattern[str], PlainValidator(_pattern)] | None = None
    """Matches whole names. Topics that are created later are read as well, escalon's own ones never."""
    format: Format = "plain"
    id: Places | None = None
    """Several parts are joined by a space."""
    time: OnePlace | None = None
    text: Places | None = None
    """Several parts are joined by a line end."""
    data: Annotated[Selector | dict[str, Selector], PlainValidator(_data)] | None = None
    image: OnePlace | None = None
    data_subject: OnePlace | None = None
    where: Conditions = {}  # noqa: RUF012 - pydantic copies it
    """A record that does not meet all of these is skipped."""
    unless: Conditions = {}  # noqa: RUF012
    """A record that meets one of these is skipped."""
    deletes: bool = False
    """True if Debezium's deletes are events."""

    @model_validator(mode="after")
    def _fits_together(self) -> SourceSpec:
        if bool(self.topics) == (self.pattern is not None):
            raise ValueError('give either topics = ["NAME"] or pattern = "REGULAR EXPRESSION"')
        if self.deletes and self.format != "debezium":
            raise ValueError('deletes = true needs format = "debezium": other formats have no deletes')
        return self


def one_or_several(value: Any) -> Any:
    """Return `[source]` as the list that `[[source]]` is."""
    return (value,) if isinstance(value, Mapping) else value

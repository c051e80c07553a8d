"""The panel's pages: functions from a frozen description to HTML. All texts are escaped; a page has no inline script.

Every form posts to `action` with the field `csrf`, and the field `do` says what the rater wants:

| do | further fields |
| --- | --- |
| `start` | |
| `judge` | the fields of `form_fields`, `comment`, and those of `hidden` |
| `skip` | `reason` (one of SKIP_REASONS), `comment` |
| `undo`, `pause`, `renew` | |
| `adjudicate` | the fields of `AdjudicationPage.disputed`, `comment`, and those of `hidden` |

The script posts the same forms. It takes a redirect for "saved" and then loads `next_url`; it takes 503 and a lost
connection for "not saved yet", keeps the input and posts the same again; any other reply it shows as a page. `renew` is
posted by the script alone, and answered with 204 without a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

from jinja2 import Environment

from streams.panels.rubric import Question
from streams.ui.page_templates import page_templates
from streams.ui.panel.fields import FormField, Side, form_fields, key_of, words_of
from streams.ui.panel.readable import answer_rows, compared_rows, data_of, turns_of

SKIP_REASONS = (
    "I cannot read or understand it",
    "I lack the knowledge to judge it",
    "It concerns me or a person I know",
    "Another reason",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProgress:
    """The rater's own progress in the panel."""

    done: int
    left: int
    """Cases that this rater may still get."""
    seconds: float
    """Time spent on the cases that are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """An answer on its side. A single answer is on side A."""

    side: Side
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCase:
    """The content of a case as a person may see it: redacted, and without the origin of its answers."""

    text: str
    data: str | None = None
    """A JSON object."""
    image: str = ""
    """The address of its image; empty for none."""
    answers: tuple[ShownAnswer, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that have an answer."""
        return tuple(answer.side for answer in self.answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPage:
    """The panel's introduction: before the first case, and during a pause."""

    title: str
    instructions: str
    questions: tuple[Question, ...]
    progress: RaterProgress
    action: str
    csrf: str
    notice: str = ""
    """A sentence at the top, for example that the rater has paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePage:
    """One case with the rubric's questions."""

    title: str
    instructions: str
    case: ShownCase
    questions: tuple[Question, ...]
    progress: RaterProgress
    action: str
    csrf: str
    next_url: str
    """The page after this one."""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """The rater's earlier verdicts after an undo: chosen keys by field name."""
    comment: str = ""
    notice: str = ""
    can_undo: bool = False
    renew_seconds: int = 0
    """The script renews the reservation in this interval while the page is in use; 0 for never."""
    hidden: tuple[tuple[str, str], ...] = ()
    """Names and values of further fields of the judgement's form."""

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The fields of its form."""
        return form_fields(self.questions, self.case.sides)

    @property
    def groups(self) -> tuple[tuple[Question, tuple[FormField, ...]], ...]:
        """Every question that is asked, with its fields."""
        return tuple((question, tuple(fields)) for question, fields in groupby(self.fields, lambda one: one.question))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticePage:
    """A page with a message and at most one way on."""

    title: str
    text: str
    link: str = ""
    link_text: str = ""
    refresh_seconds: int = 0
    """The script loads the page again after this time; 0 for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DonePage:
    """The end of a rater's work."""

    title: str
    text: str
    """The reason in a sentence: nothing is left to judge, or the panel is decided or closed."""
    progress: RaterProgress
    action: str
    csrf: str
    can_undo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsavedPage:
    """A judgement that is not saved yet, with its whole input, for a browser without scripts."""

    action: str
    fields: tuple[tuple[str, str], ...]
    """All names and values that were posted, the CSRF token among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedField:
    """A question on which raters of a case disagree, with the count of each verdict."""

    field: FormField
    counts: tuple[tuple[str, int], ...]
    """The choice's key and the number of raters who chose it, in the order of the choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementRow:
    """One line of the list of disagreements."""

    link: str
    """The address of its case."""
    excerpt: str
    """The beginning of the case."""
    disputed: tuple[DisputedField, ...]
    comments: int
    decided: bool
    pair: bool
    """True if the case has two answers, so that a question names the one that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementsPage:
    """The adjudicator's list."""

    title: str
    rows: tuple[DisagreementRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjudicationPage:
    """A case with its raters' verdicts, without names, and the questions to decide."""

    title: str
    instructions: str
    case: ShownCase
    disputed: tuple[DisputedField, ...]
    comments: tuple[str, ...]
    """The raters' comments, and their reasons for skipping it."""
    decided: int
    left: int
    action: str
    csrf: str
    next_url: str
    list_url: str
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """An earlier decision: chosen keys by field name."""
    comment: str = ""
    hidden: tuple[tuple[str, str], ...] = ()


def start_page(page: StartPage) -> str:
    """Render the introduction."""
    return _render("start.html", page=page)


def case_page(page: CasePage) -> str:
    """Render a case for a rater."""
    return _render("case.html", page=page)


def notice_page(page: NoticePage) -> str:
    """Render a message."""
    return _render("notice.html", page=page)


def done_page(page: DonePage) -> str:
    """Render the end of a rater's work."""
    return _render("done.html", page=page)


def unsaved_page(page: UnsavedPage) -> str:
    """Render the input of a judgement that is not saved yet, with a button that posts it again."""
    return _render("unsaved.html", page=page)


def disagreements_page(page: DisagreementsPage) -> str:
    """Render the list of disagreements."""
    return _render("disagreements.html", page=page)


def adjudication_page(page: AdjudicationPage) -> str:
    """Render a case for the adjudicator."""
    return _render("adjudication.html", page=page)


def minutes(seconds: float) -> str:
    """Return a duration in words, for example `14 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


@cache
def _environment() -> Environment:
    environment = page_templates("panel")
    functions = (answer_rows, compared_rows, data_of, turns_of, key_of, words_of, minutes)
    environment.globals.update({function.__name__: function for function in functions}, skip_reasons=SKIP_REASONS)
    return environment


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)

"""escalon panel link and revoke."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import typer

from streams.cli.console import note, out, print_json
from streams.cli.options import JsonLinesOption
from streams.cli.panel_change import change_panel
from streams.core.errors import ConfigError
from streams.core.messages import Panel, PanelRater, PanelRole

DAYS = 14
NAME_CHARACTERS = 100
PanelArgument = Annotated[str, typer.Argument(metavar="NAME", help="The panel's name.")]
PeopleArgument = Annotated[list[str], typer.Argument(metavar="PERSON...", help="The names of people.")]


def link(
    name: PanelArgument,
    person: PeopleArgument,
    adjudicator: Annotated[
        bool, typer.Option("--adjudicator", help="For people who decide where the raters disagree.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=365, help="The days for which a link works.")] = DAYS,
    as_json: JsonLinesOption = False,
) -> None:
    """Print a personal link to a panel for each person. Who has the link can judge in that person's name."""
    from streams.ui.address import address_of_pages
    from streams.ui.links import LinkSigner, new_link, signing_key

    role: PanelRole = "adjudicator" if adjudicator else "rater"
    settings, panel = change_panel(name, lambda panel, now: with_people(panel, person, role, now))
    signer, address = LinkSigner(signing_key(settings)), address_of_pages(settings)
    now = max(settings.now(), panel.updated_at)
    if panel.state != "open" and role == "rater":
        note(f"The panel {name} is {panel.state} and gives no cases: `escalon panel resume {name}` opens it.")
    for one in person:
        made = new_link(panel.panel, one, now, timedelta(days=days))
        url = f"{address}/l/{signer.token(made)}"
        if as_json:
            print_json({"person": one, "role": role, "url": url, "expires_at": made.expires_at})
        else:
            out.print(f"{one}: {url}", soft_wrap=True, markup=False, highlight=False)


def revoke(name: PanelArgument, person: PeopleArgument) -> None:
    """Make all links that a person has got so far useless. `escalon panel link` makes a new one."""
    change_panel(name, lambda panel, now: without_links(panel, person, now))
    out.print(f"Links of {', '.join(person)} no longer work.", markup=False, highlight=False)


def with_people(panel: Panel, names: list[str], role: PanelRole, now: datetime) -> Panel:
    """Return the panel with these people added, after those it has. Raises ConfigError for a name in another role."""
    people = {one.name: one for one in panel.people}
    for name in names:
        if not name.strip() or len(name) > NAME_CHARACTERS:
            what = f"{name!r:.50} is not a name."
            raise ConfigError(what, f"Give a name of 1 to {NAME_CHARACTERS} characters.", "person")
        known = people.setdefault(name, PanelRater(name=name, role=role, links_from=now))
        if known.role != role:
            what = f"{name} is already {'an' if known.role == 'adjudicator' else 'a'} {known.role} of this panel."
            raise ConfigError(
                what, "An adjudicator decides about the judgements of others: name another person.", "person"
            )
    return replace(panel, people=tuple(people.values()))


def without_links(panel: Panel, names: list[str], now: datetime) -> Panel:
    """Return the panel in which these people's earlier links do not work. Raises ConfigError for an unknown name."""
    people = {one.name: one for one in panel.people}
    for name in names:
        if name not in people:
            listed = ", ".join(people) or "no person"
            raise ConfigError(f"{name!r:.50} has no link to this panel.", f"It has links for: {listed}.", "person")
        people[name] = replace(people[name], links_from=now)
    return replace(panel, people=tuple(people.values()))

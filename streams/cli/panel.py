"""escalon panel: people judge cases by a rubric. Each subcommand is a file of its own."""

from __future__ import annotations

from streams.cli.commands import new_app
from streams.cli.panel_judge import judge
from streams.cli.panel_list import list_panels
from streams.cli.panel_new import new_panel
from streams.cli.panel_rubric import rubric

app = new_app("Let people judge a sample of the stream by a rubric, and report what they found.")
app.command("new", epilog="Example: escalon panel new week-48 --rubric rubric.toml --cases 50 --raters 2")(new_panel)
app.command("list", epilog="Example: escalon panel list")(list_panels)
app.command("judge", epilog="Example: escalon panel judge week-48 --model haiku --max-cost 0.50")(judge)
app.add_typer(rubric, name="rubric")

"""escalon panel: people judge cases by a rubric. Each subcommand is a file of its own."""

from __future__ import annotations

from streams.cli.commands import new_app
from streams.cli.panel_judge import judge
from streams.cli.panel_link import link, revoke
from streams.cli.panel_list import list_panels
from streams.cli.panel_new import new_panel
from streams.cli.panel_report import report_panel
from streams.cli.panel_rubric import rubric
from streams.cli.panel_state import close, pause, resume

app = new_app("Let people judge a sample of the stream by a rubric, and report what they found.")
app.command("new", epilog="Example: escalon panel new week-48 --rubric rubric.toml --cases 50 --raters 2")(new_panel)
app.command("list", epilog="Example: escalon panel list")(list_panels)
app.command("judge", epilog="Example: escalon panel judge week-48 --model haiku --max-cost 0.50")(judge)
app.command("link", epilog="Example: escalon panel link week-48 anna ben")(link)
app.command("revoke", epilog="Example: escalon panel revoke week-48 anna")(revoke)
app.command("pause", epilog="Example: escalon panel pause week-48")(pause)
app.command("resume", epilog="Example: escalon panel resume week-48")(resume)
app.command("close", epilog="Example: escalon panel close week-48")(close)
app.command("report", epilog="Example: escalon panel report week-48 --html week-48.html")(report_panel)
app.add_typer(rubric, name="rubric")

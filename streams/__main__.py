"""`python -m streams` is the command escalon."""

from streams.cli.main import run

run()

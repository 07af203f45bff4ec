"""The tree of commands. A group is a module with `register(app)`; nothing else is wired here."""

from __future__ import annotations

import typer

from sandbox.bpctl import audit, chaos, ledger, load, partners, status, tokens, transfers


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="bpctl",
        help="Look at and steer the bank that runs on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    for group in (status, tokens, transfers, ledger, audit, partners, load, chaos):
        group.register(app)
    return app

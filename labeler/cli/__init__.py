"""The command line. Nothing heavy is imported before a command needs it: ``labeler --help`` answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

import labeler
from labeler.cli import auditing, curating, files, healthcheck, projects, training, window
from labeler.cli.console import Commands, harden_streams, quietly
from labeler.openmp import wait_briefly

wait_briefly()  # before a command can import torch

__all__ = ["app", "main"]

COMMANDS = (
    ("Window", "demo", window.demo),
    ("Window", "open", window.open_project),
    ("Project", "new", projects.new),
    ("Project", "add", projects.add),
    ("Project", "run", projects.run),
    ("Project", "train", training.train),
    ("Project", "models", projects.models),
    ("Project", "export", projects.export),
    ("Project", "rebuild", projects.rebuild),
    ("Project", "certificate", auditing.certificate),
    ("Project", "audit", auditing.audit),
    ("Project", "simulate", training.simulate),
    ("Without a project", "predict", files.predict),
    ("Without a project", "ships", files.ships),
    ("Without a project", "curate", curating.curate),
    ("Without a project", "doctor", healthcheck.doctor),
)

app = typer.Typer(
    cls=Commands,
    help="Segmentation masks for a stream of images, with a person only where the model is unsure.\n\n"
    "Without a command, the window opens.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labeler {labeler.__version__}")
        raise typer.Exit


@app.callback()
def _window(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # acted on by its callback
    if context.invoked_subcommand is None:
        window.start()


for _panel, _name, _command in COMMANDS:
    app.command(_name, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the program; the entry point of the ``labeler`` script."""
    harden_streams()
    with quietly():
        app(prog_name="labeler")

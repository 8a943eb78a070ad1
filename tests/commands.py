"""The command line as a test uses it, without a process of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from labeler.cli import app


def run(*arguments: str | Path) -> Result:
    """What a command printed and how it ended."""
    return CliRunner().invoke(app, [os.fspath(argument) for argument in arguments])


def answer(*arguments: str | Path) -> Any:
    """The JSON that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])

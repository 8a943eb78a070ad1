"""The command that says what this machine lacks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from labeler.cli.console import FAULT, emit, say
from labeler.doctor import Finding, Level, examine


def doctor(as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False) -> None:
    """Say in plain words what is missing on this machine; exit code 2 if something is."""
    findings: list[Finding] = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _show(finding)
    missing = any(finding.level is Level.MISSING for finding in findings)
    if as_json:
        emit({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(FAULT if missing else 0)


def _show(finding: Finding) -> None:
    say(f"{finding.level:<8} {finding.text}")
    if finding.remedy:
        say(f"{'':8} -> {finding.remedy}")

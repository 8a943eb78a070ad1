"""How the command line speaks: one sentence for a fault, progress on a terminal, JSON for scripts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from types import FrameType
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from labeler.driving import drain
from labeler.errors import LabelerError

T = TypeVar("T")
FAULT = 2
INTERRUPTED = 130
SHOWN = 10  # complaints of one kind
CLOSED_PIPE = 141  # what a shell reports of a program that the closed pipe has ended
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Commands(TyperGroup):
    """The group of all commands; it turns the world's faults into one sentence and exit code 2."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer hides the class of its contexts
        """Run the command that was asked for."""
        with quietly():
            return super().invoke(ctx)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """End the process without a traceback for what is not our fault: errors, Ctrl-C, a closed pipe, SIGTERM."""
    try:
        with _ending_on_signals():
            yield
            with contextlib.suppress(AttributeError):  # sys.stdout is None where it was closed from the start
                sys.stdout.flush()
    except LabelerError as error:
        typer.echo(f"labeler: {one_line(str(error))}", err=True)
        raise SystemExit(FAULT) from None
    except KeyboardInterrupt:
        typer.echo("labeler: stopped", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes stdout once more at its end and would complain.
        sys.stdout = io.TextIOWrapper(open(os.devnull, "wb"))  # noqa: PTH123, SIM115 - lives as long as the process
        raise SystemExit(CLOSED_PIPE) from None


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP leave through the ``with`` blocks: projects are closed, nothing half-written stays."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {}
    with contextlib.suppress(ValueError):  # not on the main thread: the caller decides
        before = {name: signal.signal(getattr(signal, name), _leave) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)


def harden_streams() -> None:
    """File names that are not Unicode are shown escaped instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def one_line(text: str) -> str:
    """``text`` with control characters escaped, so that a file's name cannot forge output."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in _UNPRINTABLE else character
        for character in text
    )


def say(text: str) -> None:
    """One line of the answer, on stdout."""
    typer.echo(one_line(text))


def note(text: str) -> None:
    """One line beside the answer, on stderr."""
    typer.echo(one_line(text), err=True)


def note_some(kind: str, texts: Sequence[str]) -> None:
    """The first of some complaints, and how many more there are."""
    for text in texts[:SHOWN]:
        note(f"{kind}: {text}")
    if len(texts) > SHOWN:
        note(f"{kind}: and {len(texts) - SHOWN} more; the window lists them all")


def emit(values: Any) -> None:
    """One line of JSON on stdout, at once, for a script that reads while we run."""
    typer.echo(json.dumps(values, allow_nan=False))
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """An aligned table on stdout: numbers to the right, no frame, as wide as it needs (pipes have no width)."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(columns))]
    for line in ([*columns], *cells):
        parts = (
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        )
        typer.echo("  ".join(parts).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else one_line(str(value))


def follow(work: Generator[Any, None, T], title: str, *, each: Callable[[Any], None] | None = None) -> T:
    """Drive long work to its result, with a bar on stderr where that is a terminal.

    What the work yields besides Progress goes to ``each``. The work is closed on every way out, so that it can clean
    up behind itself.
    """
    with contextlib.closing(work):
        if sys.stderr is None or not sys.stderr.isatty():
            return _drain(work, each)
        return _with_bar(work, title, each)


def _drain(work: Generator[Any, None, T], each: Callable[[Any], None] | None) -> T:
    from labeler.records import Progress  # brings numpy, which the help does without

    def show(step: Any) -> None:
        if each is not None and not isinstance(step, Progress):
            each(step)

    return drain(work, show)


def _with_bar(work: Generator[Any, None, T], title: str, each: Callable[[Any], None] | None) -> T:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from labeler.records import Progress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
    )
    # Without the redirections: rich would send our answer on stdout to its own console, which is stderr.
    bar = Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
    task = bar.add_task(title, total=None, figures="")

    def show(step: Any) -> None:
        if isinstance(step, Progress):
            figures = "  ".join(f"{name} {value:.4g}" for name, value in step.metrics.items())
            text = one_line(f"{title}: {step.phase}")
            bar.update(task, description=text, completed=step.done, total=step.total or None, figures=figures)
        elif each is not None:
            bar.stop()
            each(step)
            bar.start()

    with bar:
        return drain(work, show)

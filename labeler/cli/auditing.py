"""Commands on trust: the certificate, and audits for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labeler.cli.console import emit, say
from labeler.cli.projects import Folder, Json
from labeler.errors import ProjectError

if TYPE_CHECKING:
    from labeler.accepts import Accept
    from labeler.trust import Trust


def certificate(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write FILE.md, FILE.json and FILE.log (the audit log).")
    ] = None,
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Probability that the bound may fail.")] = 0.05,
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="Also give the seeds, so that others can check the coins; new ones follow."),
    ] = False,
    as_json: Json = False,
) -> None:
    """How many of the accepted masks can be wrong at most, from blind audits, and what that does not promise."""
    from labeler.attestation import document, markdown
    from labeler.files import write_atomically
    from labeler.project import Project
    from labeler.trust import Trust

    with Project.open(folder) if reveal else Project.view(folder) as project:
        trust = Trust(project)
        values = document(trust, alpha=alpha)
        log = "\n".join(project.accepts.log_lines())
        if reveal:
            values["seeds"] = _revealed(trust)
    if out is not None:
        for suffix, text in ((".md", markdown(values)), (".json", json.dumps(values, indent=2)), (".log", log)):
            write_atomically(out.with_name(out.name + suffix), text.encode())
    if as_json:
        emit(values)
    else:
        for line in markdown(values).splitlines() if out is None else [values["statement"]]:
            say(line)


def _revealed(trust: Trust) -> dict[str, str]:
    """Seeds by epoch, in hexadecimal; a new epoch begins, since known coins are no use."""
    accepts, settings = trust.project.accepts, trust.project.settings
    current = accepts.epoch()
    alarmed = current is not None and current.alarm
    rate = settings.audit_share if current is None else current.rate
    epochs = accepts.epochs()
    accepts.begin_epoch(rate=rate, below=settings.wrong_below, reason="the seed was revealed", alarm=alarmed)
    return {str(epoch.number): accepts.reveal(epoch.number).hex() for epoch in epochs}


def audit(
    folder: Folder,
    next_one: Annotated[bool, typer.Option("--next", help="Which mask to look at next; its file and image.")] = False,
    answer: Annotated[
        Literal["right", "wrong"] | None, typer.Option(help="What was found of the mask given with --id.")
    ] = None,
    accept_id: Annotated[
        int | None, typer.Option("--id", metavar="N", help="Number of the audit, from --next.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long the look took.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Audit accepted masks, blind: --next names one, --answer says what was found. A wrong one waits to be mended."""
    from labeler.project import Project
    from labeler.trust import Trust

    if next_one == (answer is not None):
        raise ProjectError("audit: give either --next, or --answer with --id")
    with Project.open(folder) as project:
        trust = Trust(project)
        if next_one:
            _tell_next(trust, as_json=as_json)
        else:
            _keep_answer(trust, accept_id, str(answer), seconds=seconds, as_json=as_json)


def _tell_next(trust: Trust, *, as_json: bool) -> None:
    accept = trust.next_audit(repeats=False)
    values = None if accept is None else _shown(trust, accept)
    if as_json:
        emit({"audit": values, "waiting": trust.project.accepts.count_pending()})
    elif values is None:
        say("no audit waits")
    else:
        say(f"{values['id']}  image {values['image']}  mask {values['mask']}")


def _shown(trust: Trust, accept: Accept) -> dict[str, str | int]:
    """What an auditor may know: no confidence, no model."""
    from labeler.files import prediction_paths

    mask, _ = prediction_paths(trust.project.predictions_folder, accept.image_id, accept.model_version)
    image = trust.project.image(accept.image_id).path
    return {"id": accept.accept_id, "image": str(image), "mask": str(mask)}


def _keep_answer(trust: Trust, accept_id: int | None, answer: str, *, seconds: float, as_json: bool) -> None:
    from labeler.accepts import Answer

    if accept_id is None:
        raise ProjectError("audit: --answer needs the --id that `labeler audit DIR --next` names")
    accept = trust.project.accepts.accept(accept_id)
    if accept is None or not accept.coin:
        raise ProjectError(f"audit: {accept_id} was not drawn for an audit; `labeler audit DIR --next` names one")
    found = trust.answer(accept, Answer(answer), seconds=seconds)
    waiting = trust.project.accepts.count_pending()
    if as_json:
        emit({"id": accept.accept_id, "answer": answer, "is_repeat": found.repeat_of is not None, "waiting": waiting})
    else:
        again = " (a repeat: the first answer counts)" if found.repeat_of is not None else ""
        say(f"{accept.accept_id}: {answer}{again}; {waiting} audits wait")

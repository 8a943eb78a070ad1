"""The certificate as a document: every figure, the assumptions it rests on, and what it does not promise."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from labeler import __version__
from labeler.certificate import ALPHA, Bound
from labeler.database import now
from labeler.trust import Trust

PROMISES_NOT = (
    "It counts wrong masks; it does not say which ones they are.",
    "Wrong means: a person who looked at the mask alone said so. It certifies that person's judgement.",
    "It covers masks that were accepted without a look, not those that a person made.",
    "It says nothing of images that wait, were excluded or could not be read.",
    "It says nothing of images that have not come yet.",
    "An auditor who lets wrong masks pass more often than is assumed here breaks it.",
)


def document(trust: Trust, *, alpha: float = ALPHA) -> dict[str, Any]:
    """All of the certificate in plain values, for JSON."""
    project, accepts = trust.project, trust.project.accepts
    found, counts = trust.certificate(alpha=alpha), trust.project.counts()
    lines = accepts.log_lines()
    same, repeats = found.repeats
    frozen = trust.frozen(alpha=alpha)
    return {
        "program": f"labeler {__version__}",
        "created": now(),
        "statement": statement(found.whole, found.below),
        "alpha": alpha,
        "wrong_below_iou": found.below,
        "auditor_misses": found.missed,
        "accepted_now": counts.accepted,
        "whole": _figures(found.whole),
        "strata": {name: _figures(bound) for name, bound in found.strata.items()},
        "epochs": [
            {"epoch": e.number, "audit_probability": e.rate, "wrong_below_iou": e.below}
            | {"seed_sha256": e.seed_sha256, "reason": e.reason, "from": e.created}
            for e in accepts.epochs()
        ],
        "frozen_set": None if frozen is None else asdict(frozen),
        "pending_audits": found.pending,
        "attention": asdict(trust.attention()),
        "blind_repeats": {"same_answer": same, "shown": repeats},
        "model_versions": [
            {"version": v.version, "sha256": v.sha256, "status": v.status.value, "holdout_iou": v.holdout_iou}
            for v in project.versions()
        ],
        "audit_log_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "audit_log_lines": len(lines),
        "promises_not": list(PROMISES_NOT),
    }


def statement(bound: Bound, below: float) -> str:
    """The bound in one sentence."""
    if not bound.accepted:
        return "No mask was accepted without a look, so there is nothing to certify."
    return (
        f"With probability {1 - bound.alpha:.0%}, at most {bound.left} of {bound.accepted} masks that were accepted "
        f"without a look ({bound.share:.2%}) have an IoU below {below:g} with the person's mask."
    )


def _figures(bound: Bound) -> dict[str, Any]:
    return {
        "accept_events_N": bound.accepted,
        "found_wrong_K": bound.wrong,
        "unfinished_audits": bound.unfinished,
        "wrong_events_at_most_F_U": bound.events,
        "wrong_left_at_most": bound.left,
        "wrong_share_at_most": bound.share,
        "alpha": bound.alpha,
    }


def markdown(values: dict[str, Any]) -> str:
    """The document for people."""
    parts = [
        "# Certificate",
        values["statement"],
        _table(("", "accepted N", "found wrong K", "unfinished", "F_U", "left at most", "share"), _rows(values)),
        f"The strata hold together with probability {1 - values['alpha']:.0%}, apart from the first line. "
        f"An unfinished audit counts as wrong; {values['pending_audits']} wait.",
        _frozen(values),
        "## How it was found",
        "Each time a mask was accepted without a look, a secret coin decided whether a person audits it, blind: no "
        "confidence shown, in no telling order. What was found wrong was mended. The bound holds at any time, "
        "however often one looks, whatever models and images have done in between. The evidence of all epochs is "
        "multiplied, so that it holds for all of them together.",
        _table(
            ("epoch", "coin", "wrong below IoU", "reason", "SHA-256 of the seed"),
            [
                (e["epoch"], f"{e['audit_probability']:g}", f"{e['wrong_below_iou']:g}", e["reason"], e["seed_sha256"])
                for e in values["epochs"]
            ],
        ),
        f"Share of wrong masks that the auditor is assumed to miss: {values['auditor_misses']:g}. "
        f"Blind repeats answered the same: {values['blind_repeats']['same_answer']} of "
        f"{values['blind_repeats']['shown']}. {_attention(values['attention'])}",
        "## Models",
        _table(
            ("version", "status", "mean IoU on the holdout", "SHA-256"),
            [
                (m["version"], m["status"], "" if m["holdout_iou"] is None else f"{m['holdout_iou']:.4f}", m["sha256"])
                for m in values["model_versions"]
            ],
        ),
        "## What it does not promise",
        "\n".join(f"- {sentence}" for sentence in values["promises_not"]),
        f"Audit log: {values['audit_log_lines']} lines, SHA-256 `{values['audit_log_sha256']}`. "
        f"{values['program']}, {values['created']}.",
    ]
    return "\n\n".join(parts) + "\n"


def _frozen(values: dict[str, Any]) -> str:
    frozen = values["frozen_set"]
    if frozen is None:
        return (
            "On a frozen set the bound would be narrower; this one is none: several models or coins have made it, or "
            "audits wait."
        )
    return (
        f"On the set as it is (one model, one coin, every audit answered), for one look at the end: with probability "
        f"{1 - values['alpha']:.0%}, at most {frozen['left']} of {frozen['accepted']} are wrong and left; "
        f"{frozen['audits']} were audited, {frozen['wrong']} of them wrong."
    )


def _attention(told: dict[str, Any]) -> str:
    said = [] if told["audit_s"] is None else [f"Median time of an audit: {told['audit_s']:.1f} s."]
    if told["shown"]:
        said.append(
            f"Of {told['shown']} masks of models that the person saw in the queue, {told['changed']} were changed."
        )
    return " ".join(said)


def _rows(values: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = {"mask": "masks with something on them", "empty": "empty masks"}
    bounds = {"all": values["whole"], **values["strata"]}
    return [
        (
            names.get(name, name),
            found["accept_events_N"],
            found["found_wrong_K"],
            found["unfinished_audits"],
            found["wrong_events_at_most_F_U"],
            found["wrong_left_at_most"],
            f"{found['wrong_share_at_most']:.2%}",
        )
        for name, found in bounds.items()
    ]


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

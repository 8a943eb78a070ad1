"""How often the certificate is broken: whole projects of accept events and audits, one for each seed of the coins."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from labeler.accepts import coin_of
from labeler.certificate import ALPHA, Audited, bound
from labeler.drift import Watch
from labeler.trust import ALARM_FACTOR

Story = Literal["steady", "drift", "retraining", "both"]
STORIES: tuple[Story, ...] = ("steady", "drift", "retraining", "both")
SHARE_WRONG, AFTER_DRIFT, AFTER_ROUND = 0.01, 0.06, 0.35  # of accepted masks; the last is a factor
DELAYS = (1, 400)  # accept events that an audit waits for its answer, from .. to
ROUND_EVERY = 3  # wrong masks found by audits that start a round


@dataclass(frozen=True, slots=True)
class AuditedStream:
    """One seed: whether the bound was below the truth at any moment, and how it stood at the end, all answered."""

    is_broken: bool
    accepted: int
    wrong_left: int
    bound: int
    audits: int
    alarms: int


@dataclass(slots=True)
class _Epoch:
    rate: float
    number: int
    accepted: int = 0
    wrong: int = 0
    found: int = 0  # wrong heads, answered or not: one that is not counts as wrong anyway
    heads: int = 0


def audited_stream(
    seed: int, story: Story, *, accepted: int = 2000, rate: float = 0.05, alpha: float = ALPHA
) -> AuditedStream:
    """Accept ``accepted`` masks and audit those that the product's own coins draw, looking at the bound all the time.

    With drift, the wrong ones become six times as many half-way, and the product's own alarm may open an epoch; with
    retraining, every third wrong mask that an audit finds starts a round after which there are fewer: the wrong ones
    to come depend on the coins so far, as they do in a project.
    """
    rng = np.random.default_rng((seed, STORIES.index(story)))
    key = hashlib.sha256(b"seed %d" % seed).digest()
    epochs = [_Epoch(rate, 1)]
    waiting: list[tuple[int, bool]] = []  # (event at which it is answered, whether it is wrong)
    watch, factor, answered_wrong, alarms, broken = Watch(), 1.0, 0, 0, False
    drifts, retrains = story in ("drift", "both"), story in ("retraining", "both")
    for event in range(1, accepted + 1):
        drifted = drifts and event > accepted // 2
        share = min(1.0, (AFTER_DRIFT if drifted else SHARE_WRONG) * factor)
        if drifts and len(epochs) == 1:
            watch.observe(1, float(rng.beta(6, 3) if drifted else rng.beta(20, 2)), float(rng.random()))
            if watch.alarmed:
                epochs.append(_Epoch(min(1.0, ALARM_FACTOR * rate), 2))
                alarms += 1
        epoch, wrong = epochs[-1], bool(rng.random() < share)
        heads = coin_of(key + bytes([epoch.number]), event, epoch.rate)
        epoch.accepted += 1
        epoch.heads += heads
        epoch.wrong += wrong
        epoch.found += wrong and heads
        if heads:
            waiting.append((event + int(rng.integers(*DELAYS)), wrong))
        due = [entry for entry in waiting if entry[0] <= event]
        waiting = [entry for entry in waiting if entry[0] > event]
        for _, was_wrong in due:
            answered_wrong += was_wrong
            if was_wrong and retrains and answered_wrong % ROUND_EVERY == 0:
                factor = float(rng.choice([AFTER_ROUND, 1 / AFTER_ROUND, 1.0])) * factor
                factor = min(max(factor, 0.1), 5.0)
        # The bound can only fall behind the truth when there is one more wrong mask. Taking audits that wait for
        # what they will be found to be is less careful than the product, which counts all of them as wrong.
        broken = broken or (wrong and sum(e.wrong for e in epochs) > _bound(epochs, alpha))
    total, found = sum(e.wrong for e in epochs), sum(e.found for e in epochs)
    return AuditedStream(
        broken, accepted, total - found, _bound(epochs, alpha) - found, sum(e.heads for e in epochs), alarms
    )


def _bound(epochs: list[_Epoch], alpha: float) -> int:
    return _events_at_most(tuple((e.accepted, e.found, e.rate) for e in epochs), alpha)


@cache
def _events_at_most(epochs: tuple[tuple[int, int, float], ...], alpha: float) -> int:
    return bound([Audited(accepted, 0, found, 0, rate) for accepted, found, rate in epochs], alpha=alpha).events


def violation_limit(seeds: int, *, alpha: float = ALPHA) -> int:
    """The number of broken bounds among ``seeds`` that a sound one exceeds with a probability below 0.1 %."""
    return math.ceil(alpha * seeds + 3.1 * math.sqrt(alpha * (1 - alpha) * seeds))

"""The bound over many seeds of the coins: it holds through drift and retraining, and it is no empty promise."""

from __future__ import annotations

import pytest

from labeler.studies import audit_seeds
from labeler.studies.audit_seeds import STORIES, Story, audited_stream, violation_limit

SEEDS = 25


@pytest.mark.parametrize("story", STORIES)
def test_bound_holds_for_nearly_all_seeds(story: Story) -> None:
    runs = [audited_stream(seed, story, accepted=1500) for seed in range(SEEDS)]
    assert sum(run.is_broken for run in runs) <= violation_limit(SEEDS)
    assert all(run.wrong_left >= 0 for run in runs)
    assert sum(run.audits for run in runs) > 0.6 * 75 * SEEDS


def test_drift_raises_the_alarm_and_the_audits() -> None:
    steady, drifted = audited_stream(3, "steady", accepted=1500), audited_stream(3, "drift", accepted=1500)
    assert (steady.alarms, drifted.alarms) == (0, 1)
    assert drifted.audits > 1.5 * steady.audits


def test_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coins that fall half as often as claimed break the bound."""
    coin = audit_seeds.coin_of
    monkeypatch.setattr(audit_seeds, "coin_of", lambda key, event, rate: coin(key, event, rate / 8))
    runs = [audited_stream(seed, "steady", accepted=2000, rate=0.4) for seed in range(SEEDS)]
    assert sum(run.is_broken for run in runs) > violation_limit(SEEDS)

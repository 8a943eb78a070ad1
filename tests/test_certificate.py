"""Bounds on wrong accepted masks: check values, limits, agreement with MAPIE, and how often they are broken."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from labeler.certificate import (
    Audited,
    audits_needed,
    bound,
    certified_threshold,
    frozen_wrong_at_most,
    log_e_value,
    share_at_most,
    share_between,
    strata_bounds,
    wrong_at_most,
)


@pytest.mark.parametrize(
    ("rate", "found", "percent"),
    [(0.05, 0, 0.75), (0.05, 1, 1.33), (0.05, 2, 1.76), (0.10, 0, 0.36), (0.10, 1, 0.64), (0.10, 2, 0.86)],
)
def test_wrong_masks_left_agree_with_the_table(rate: float, found: int, percent: float) -> None:
    events = wrong_at_most(found, rate=rate)
    assert round(100 * (events - found) / 9700, 2) == percent
    assert log_e_value(events, found, rate) < np.log(20) <= log_e_value(events + 1, found, rate)


@pytest.mark.parametrize(("share", "counts"), [(0.01, (299, 473, 628)), (0.02, (149, 236, 313)), (0.05, (59, 93, 124))])
def test_audits_needed_agree_with_the_table(share: float, counts: tuple[int, ...]) -> None:
    assert tuple(audits_needed(share, found=found) for found in range(3)) == counts
    for found, audits in enumerate(counts):
        assert share_at_most(found, audits) <= share < share_at_most(found, audits - 1)


def test_bound_of_1e5_masks_takes_less_than_20_ms() -> None:
    wrong_at_most(1, rate=0.05)
    times = []
    for found in (0, 40, 400):
        started = time.perf_counter()
        wrong_at_most(found, rate=0.05, limit=100_000)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.02


def test_evidence_grows_with_the_number_of_wrong_masks() -> None:
    for rate in (0.02, 0.2, 0.7):
        for found in (0, 3, 60):
            values = [log_e_value(events, found, rate) for events in range(found, found + 4000, 7)]
            assert all(np.diff(values) > 0)


def test_bound_never_exceeds_what_was_accepted() -> None:
    assert wrong_at_most(0, rate=0.05, limit=30) == 30
    assert wrong_at_most(5, rate=0.05, limit=5) == 5
    assert wrong_at_most(400, rate=0.05, limit=400) == 400


def test_auditor_who_sees_everything_leaves_nothing() -> None:
    assert wrong_at_most(7, rate=1.0, limit=500) == 7


def test_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="shows nothing"):
        wrong_at_most(0, rate=0.0)


def test_auditor_who_misses_some_widens_the_bound() -> None:
    assert wrong_at_most(2, rate=0.10, missed=0.5) == wrong_at_most(2, rate=0.05)


def test_unfinished_audit_counts_as_wrong() -> None:
    open_audit = bound([Audited(accepted=9700, heads=485, wrong=0, unfinished=1, rate=0.05)])
    answered = bound([Audited(accepted=9700, heads=485, wrong=1, unfinished=0, rate=0.05)])
    assert open_audit.events == answered.events
    assert open_audit.left == answered.left + 1  # nobody has mended it yet


def test_no_audits_at_all_certify_nothing() -> None:
    assert bound([Audited(accepted=40, heads=2, wrong=0, unfinished=2, rate=0.05)]).left == 40
    assert bound([]).left == 0


@pytest.mark.parametrize(
    "parts", [((0, 0.3), (2, 0.5)), ((1, 0.2), (0, 0.6)), ((2, 0.4), (2, 0.4)), ((0, 0.3), (1, 0.3), (0, 0.8))]
)
def test_bound_over_epochs_is_the_largest_sum_whose_evidence_stays_small(parts: tuple[tuple[int, float], ...]) -> None:
    reach = 40
    sums, evidence = np.zeros(1), np.zeros(1)
    for found, rate in parts:
        events = np.arange(found, found + reach)
        sums = np.add.outer(sums, events).ravel()
        evidence = np.add.outer(evidence, log_e_value(events, found, rate)).ravel()
    told = bound([Audited(1000, 0, found, 0, rate) for found, rate in parts])
    assert told.events == int(sums[evidence < np.log(20)].max())
    assert told.left == told.events - sum(found for found, _ in parts)


def test_one_epoch_has_all_of_alpha_and_another_costs_next_to_nothing() -> None:
    alone = bound([Audited(9412, 470, 0, 0, 0.05)])
    assert alone.events == wrong_at_most(0, rate=0.05) == 73
    assert bound([Audited(9412, 470, 0, 0, 0.05), Audited(0, 0, 0, 0, 0.2, epoch=2)]).events == 73
    strict = bound([Audited(9412, 470, 0, 0, 0.05), Audited(500, 100, 0, 0, 0.2, epoch=2)])
    assert 73 <= strict.events <= 80
    assert strict.accepted == 9912


def test_epochs_in_which_everything_was_audited_leave_nothing() -> None:
    parts = [Audited(50, 50, 3, 0, 1.0), Audited(9412, 470, 0, 0, 0.05, epoch=2), Audited(2, 1, 0, 2, 0.05, epoch=3)]
    assert bound(parts).events == 3 + 73 + 2
    assert bound(parts[:1]).left == 0


def test_evidence_is_sound_where_nearly_all_wrong_masks_are_heads() -> None:
    """There the incomplete beta function is below the smallest number that there is."""
    values = log_e_value(np.arange(5000, 200_000, 50), 5000, 0.05)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    assert (np.diff(values, 2) > -1e-7).all()


def test_strata_share_alpha() -> None:
    one = [Audited(5000, 250, 1, 0, 0.05)]
    assert strata_bounds([one, []])[0].events == bound(one, alpha=0.025).events > bound(one).events


def test_frozen_bound_is_the_largest_that_fits() -> None:
    for found, audits, accepted in [(0, 100, 600), (3, 100, 500), (2, 2, 50), (0, 0, 10), (4, 10, 10)]:
        most = frozen_wrong_at_most(found, audits=audits, accepted=accepted)
        top = accepted - (audits - found)
        fits = [f for f in range(found, top + 1) if hypergeom.cdf(found, accepted, f, audits) > 0.05]
        assert most == max(fits)


def test_frozen_bound_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        frozen_wrong_at_most(3, audits=2, accepted=10)


def test_interval_of_a_share_holds_it() -> None:
    assert share_between(0, 10)[0] == 0.0
    assert share_between(10, 10)[1] == 1.0
    low, high = share_between(3, 10)
    assert low == pytest.approx(0.0667, abs=1e-4)
    assert high == pytest.approx(0.6525, abs=1e-4)


def _holdout(seed: int, count: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    return scores, rng.random(count) < 0.5 * (1 - scores) ** 2


@pytest.mark.parametrize("seed", range(8))
def test_certified_threshold_agrees_with_mapie(seed: int) -> None:
    control = pytest.importorskip("mapie.risk_control")
    scores, wrong = _holdout(seed)
    grid = np.linspace(0.9, 0.3, 61)
    controller = control.BinaryClassificationController(
        predict_function=lambda x: np.stack([1 - x[:, 0], x[:, 0]], axis=1),
        risk="precision",
        target_level=0.95,
        confidence_level=0.95,
        list_predict_params=grid,
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(scores[:, None], (~wrong).astype(int))
    ours = certified_threshold(scores, wrong, share=0.05, grid=list(grid))
    above = scores[None] >= grid[:, None]
    bad, count = (above & wrong).sum(axis=1), above.sum(axis=1)
    p_values = controller.p_values.ravel()
    # It takes the ceiling of count * (1 - precision), which rounding errors put one too high here and there.
    low, high = binom.cdf(bad, count, 0.05), binom.cdf(bad + 1, count, 0.05)
    exact = np.isclose(p_values, low, rtol=1e-6)
    assert (exact | ((low < p_values) & (p_values <= high * (1 + 1e-6)))).all()
    assert exact.mean() > 0.5
    theirs = min(controller.valid_predict_params)
    first_failure = int(np.argmax(p_values > 0.05))
    if exact[first_failure]:
        assert ours == pytest.approx(theirs)
    else:
        assert ours is not None
        assert ours <= theirs


def test_threshold_is_none_where_nothing_can_be_shown() -> None:
    scores, wrong = _holdout(0, count=20)
    assert certified_threshold(scores, wrong, share=0.01, grid=[0.5, 0.9]) is None
    assert certified_threshold(scores, np.ones(20, bool), share=0.5, grid=[0.1, 0.5]) is None


def test_first_failure_ends_the_sequence() -> None:
    scores = np.repeat([0.9, 0.7, 0.5], 200)
    wrong = np.zeros(600, bool)
    wrong[200:300] = True  # half of those between 0.7 and 0.9; looser ones dilute them again
    assert certified_threshold(scores, wrong, share=0.2, grid=[0.5, 0.7, 0.9]) == 0.9

"""Accept events, secret coins, audits, probes, drift and the calibrated gate of one project."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from labeler import checkpoint, files, images, masks, schema, ships
from labeler.accepts import Answer, coin_of
from labeler.attestation import document, markdown
from labeler.bundle import Bundle
from labeler.calibration import Figures, Pair, fit_calibrator
from labeler.certificate import frozen_wrong_at_most, wrong_at_most
from labeler.checkpoint import Checkpoint
from labeler.dataset import Batches, Core
from labeler.intake import is_probe
from labeler.loop import Loop
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.records import ImageState, PredictionRecord, Split
from labeler.settings import Settings
from labeler.ships import ShipsConfig
from labeler.stream import parse_source, scan
from labeler.training import RoundResult, TrainingJob, run_round

SMALL = ShipsConfig(size=32, margin=10, radii=(4.0, 7.0), sides=(4.0, 8.0))
COUNT = 24
QUICK = {
    "first_labels": 4,
    "holdout_every": 3,
    "base_width": 2,
    "device": "cpu",
    "probe_share": 0.0,
    "audit_share": 0.5,
}


def _pictures(folder: Path, count: int = COUNT) -> Path:
    folder.mkdir()
    for index, (image, _) in enumerate(ships.pairs(count, seed=1, config=SMALL)):
        (folder / f"{index:02d}.png").write_bytes(images.encode(ships.as_uint8(image)))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return _pictures(tmp_path / "images")


@pytest.fixture
def loop(tmp_path: Path, pictures: Path) -> Iterator[Loop]:
    with Project.create(tmp_path / "project", settings=Settings(**QUICK)) as project:
        project.add(list(scan(parse_source(str(pictures)))))
        yield Loop(project)


def _model(loop: Loop, bundle: Bundle | None = None) -> int:
    """A champion without a round."""
    path = loop.project.models_folder / f"{loop.project.next_version():04d}.safetensors"
    torch.manual_seed(int(path.stem))
    digest = checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(base_width=2))))
    job = TrainingJob((), (), path, loop.project.settings, 0, version=int(path.stem))
    result = RoundResult(path, digest, 0.9, 1, (), (), None, 1, 1.0, bundle=bundle)
    loop.finish_round(job, result)
    return int(path.stem)


def _mask(size: int, *, empty: bool = False) -> np.ndarray:
    mask = np.zeros((32, 32), np.uint8)
    mask[4 : 4 + size, 4 : 4 + size] = not empty
    return mask


def _predict(loop: Loop, image_ids: list[int], confidence: float = 0.9, *, size: int = 6, **signals: float) -> None:
    champion = loop.project.champion()
    assert champion is not None
    records = []
    for image_id in image_ids:
        mask = _mask(size, empty=size == 0)
        paths = files.prediction_paths(loop.project.predictions_folder, image_id, champion.version)
        paths[0].parent.mkdir(exist_ok=True)
        digest = masks.save(paths[0], mask)
        masks.save(paths[1], mask * np.uint8(255))
        figures = (confidence, confidence, 1.0, float(mask.mean()))
        records.append(PredictionRecord(image_id, champion.version, *figures, digest, signals))
    loop.record(records)


def _ids(loop: Loop) -> list[int]:
    return [record.image_id for record in loop.project.images()]


def _heads(loop: Loop) -> list[int]:
    return [accept.accept_id for accept in loop.project.accepts.pending()]


# Accept events and coins


def test_each_accepted_mask_has_one_event_and_one_coin(loop: Loop) -> None:
    _model(loop)
    ids = _ids(loop)
    _predict(loop, ids[:10], 0.9)
    _predict(loop, ids[10:], 0.3)
    accepts = loop.project.accepts
    assert accepts.count() == 10
    assert [accept.image_id for image_id in ids[:10] for accept in accepts.of_image(image_id)] == ids[:10]
    assert not accepts.of_image(ids[10])
    assert 0 < accepts.count_pending() < 10


def test_unchanged_mask_that_comes_back_keeps_its_coin(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop), 0.9)
    before = loop.project.accepts.log_lines()
    loop.set_threshold(0.95)
    assert loop.project.counts().accepted == 0
    loop.set_threshold(0.5)
    assert loop.project.counts().accepted == COUNT
    assert loop.project.accepts.log_lines() == before


def test_looser_threshold_flips_coins_for_the_newly_accepted(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop), 0.6)
    assert loop.project.accepts.count() == 0
    loop.set_threshold(0.5)
    assert loop.project.accepts.count() == COUNT


def test_revealed_seed_proves_every_coin(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    accepts = loop.project.accepts
    (epoch,) = accepts.epochs()
    committed = loop.project.events(kind="epoch")[0].payload["seed_sha256"]
    with pytest.raises(ValueError, match="not over"):
        accepts.reveal(epoch.number)
    accepts.begin_epoch(rate=0.5, below=0.8, reason="the seed was revealed")
    seed = accepts.reveal(epoch.number)
    assert hashlib.sha256(seed).hexdigest() == epoch.seed_sha256 == committed
    for image_id in _ids(loop):
        (accept,) = accepts.of_image(image_id)
        assert accept.coin == coin_of(seed, accept.accept_id, epoch.rate)


def test_coins_fall_as_often_as_they_should() -> None:
    heads = sum(coin_of(b"seed", number, 0.05) for number in range(20_000))
    assert abs(heads - 1000) < 150


def test_other_audit_share_begins_another_epoch(loop: Loop) -> None:
    settings = loop.project.settings
    loop.project.save_settings(settings.model_copy(update={"audit_share": 0.1}))
    loop.project.save_settings(settings.model_copy(update={"audit_share": 0.1, "seed": 3}))
    epochs = loop.project.accepts.epochs()
    assert [(epoch.rate, epoch.reason) for epoch in epochs] == [(0.5, "start"), (0.1, "settings")]
    assert epochs[0].seed_sha256 != epochs[1].seed_sha256


def test_project_made_before_audits_gets_events_for_what_it_accepted(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "old"
    with Project.create(folder, settings=Settings(**QUICK)) as project:
        project.add(list(scan(parse_source(str(pictures)))))
        loop = Loop(project)
        _model(loop)
        _predict(loop, _ids(loop)[:6])
        before = project.images()
    path = folder / "catalogue.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as catalogue:
        _back_to_the_second_schema(catalogue)
    with Project.open(folder) as project:
        assert project.accepts.count() == 6
        assert [epoch.reason for epoch in project.accepts.epochs()] == ["start"]
        assert project.images() == before
        assert project.accepts.sights() == []  # what they were at first sight is not known any more
    assert (folder / "catalogue.v2.sqlite").is_file()


def _back_to_the_second_schema(catalogue: sqlite3.Connection) -> None:
    catalogue.executescript("""
        DROP INDEX images_by_state; DROP INDEX images_reserved;
        DROP TABLE audits; DROP TABLE accepts; DROP TABLE epochs; DROP TABLE sights;
        ALTER TABLE images DROP COLUMN probe; ALTER TABLE images DROP COLUMN reserved;
        ALTER TABLE images DROP COLUMN swept_version; ALTER TABLE versions DROP COLUMN bundle;
        CREATE INDEX images_by_state ON images (state, confidence, id, model_version);
        PRAGMA user_version = 2;
    """)
    fresh = sqlite3.connect(":memory:")
    with contextlib.closing(fresh):
        fresh.executescript("".join(schema.MIGRATIONS[:2]))
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        assert catalogue.execute(tables).fetchall() == fresh.execute(tables).fetchall()


# Audits


def test_wrong_mask_leaves_the_accepted_ones_for_good(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop), 0.9)
    accept = loop.trust.next_audit()
    assert accept is not None
    loop.trust.answer(accept, Answer.WRONG, seconds=2.0)
    assert loop.project.image(accept.image_id).state is ImageState.QUEUED
    loop.set_threshold(0.1)
    assert loop.project.image(accept.image_id).state is ImageState.QUEUED
    _model(loop)
    _predict(loop, [accept.image_id], 0.99)
    assert loop.project.image(accept.image_id).state is ImageState.QUEUED


def test_mended_mask_is_written_into_the_audit(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    accept = loop.trust.next_audit()
    assert accept is not None
    loop.trust.answer(accept, Answer.WRONG, seconds=2.0)
    label = loop.commit(accept.image_id, _mask(12))
    assert [audit.label_id for audit in loop.project.accepts.audits()] == [label.label_id]


def test_label_of_a_drawn_image_answers_its_audit(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop), size=6)
    first, second = (loop.project.accepts.accept(accept_id) for accept_id in _heads(loop)[:2])
    assert first is not None
    assert second is not None
    loop.commit(first.image_id, _mask(6))
    loop.commit(second.image_id, _mask(12))
    answers = {audit.accept_id: audit.answer for audit in loop.project.accepts.audits()}
    assert answers == {first.accept_id: Answer.RIGHT, second.accept_id: Answer.WRONG}


def test_second_answer_is_a_repeat_and_counts_for_agreement_only(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    accept = loop.trust.next_audit()
    assert accept is not None
    loop.trust.answer(accept, Answer.RIGHT, seconds=1.0)
    before = loop.trust.certificate().whole
    loop.trust.answer(accept, Answer.WRONG, seconds=1.0)
    assert loop.trust.certificate().whole == before
    assert loop.project.accepts.agreement() == (0, 1)


def test_replaced_mask_is_kept_until_it_is_audited(loop: Loop) -> None:
    first = _model(loop)
    _predict(loop, _ids(loop), size=6)
    drawn = {accept.image_id for accept in loop.project.accepts.pending()}
    for size in (7, 9):  # the mask before the last is kept in any case, to be compared with
        _model(loop)
        _predict(loop, _ids(loop), size=size)
    for image_id in _ids(loop):
        path, _ = files.prediction_paths(loop.project.predictions_folder, image_id, first)
        assert path.exists() == (image_id in drawn)
    accept = next(accept for accept in loop.project.accepts.pending() if accept.model_version == first)
    assert np.array_equal(loop.trust.audit_mask(accept), _mask(6))
    loop.trust.answer(accept, Answer.WRONG, seconds=1.0)
    assert loop.project.image(accept.image_id).state is ImageState.ACCEPTED  # with another mask by now


def test_lost_mask_stays_an_unfinished_audit(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    while (accept := loop.trust.next_audit()) is not None:
        files.prediction_paths(loop.project.predictions_folder, accept.image_id, accept.model_version)[0].unlink()
    assert loop.trust.certificate().pending == len(_heads(loop)) > 0


def test_some_audits_are_shown_twice(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    for size in range(7, 13):
        _model(loop)
        _predict(loop, _ids(loop), size=size)
    shown = []
    while (accept := loop.trust.next_audit()) is not None and len(shown) < 200:
        shown.append(accept.accept_id)
        loop.trust.answer(accept, Answer.RIGHT, seconds=1.0)
    assert len(shown) > len(set(shown)) > 30
    assert loop.project.accepts.agreement()[1] == len(shown) - len(set(shown))


# The certificate


def test_certificate_tells_what_the_audits_show(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    assert loop.trust.certificate().whole.left == COUNT  # nothing was audited yet
    while (accept := loop.trust.next_audit(repeats=False)) is not None:
        loop.trust.answer(accept, Answer.RIGHT, seconds=1.0)
    found = loop.trust.certificate()
    assert found.whole.left == wrong_at_most(0, rate=0.5, limit=COUNT) < 8
    assert found.whole.accepted == COUNT
    assert found.pending == 0


def test_frozen_set_is_certified_once_all_its_audits_are_answered(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop))
    assert loop.trust.frozen() is None
    first = loop.trust.next_audit(repeats=False)
    assert first is not None
    loop.trust.answer(first, Answer.WRONG, seconds=2.0)
    while (accept := loop.trust.next_audit(repeats=False)) is not None:
        loop.trust.answer(accept, Answer.RIGHT, seconds=4.0)
    found, audits = loop.trust.frozen(), len(loop.project.accepts.audits())
    assert found is not None
    assert (found.accepted, found.audits, found.wrong) == (COUNT, audits, 1)
    assert found.left == frozen_wrong_at_most(1, audits=audits, accepted=COUNT) - 1  # which one is found is mended
    assert f"at most {found.left} of {COUNT}" in markdown(document(loop.trust))
    _model(loop)
    _predict(loop, _ids(loop), size=9)
    assert loop.trust.frozen() is None


def test_time_and_change_rate_are_in_the_certificate(loop: Loop) -> None:
    assert document(loop.trust)["attention"] == {"audit_s": None, "mask_s": None, "shown": 0, "changed": 0}
    _model(loop)
    one, other, *_ = _ids(loop)
    _predict(loop, _ids(loop), 0.1)
    loop.commit(one, loop.opening_mask(one), seconds=1.5)
    loop.commit(other, _mask(9), seconds=9.5)
    told = document(loop.trust)
    assert told["attention"] == {"audit_s": None, "mask_s": 5.5, "shown": 2, "changed": 1}
    assert "Of 2 masks of models that the person saw in the queue, 1 were changed." in markdown(told)


def test_empty_masks_are_a_stratum_of_their_own(loop: Loop) -> None:
    loop.commit(_ids(loop)[0], _mask(0, empty=True))
    _model(loop)
    _predict(loop, _ids(loop)[1:10], size=0)
    _predict(loop, _ids(loop)[10:], size=5)
    strata = loop.trust.certificate().strata
    assert {name: bound.accepted for name, bound in strata.items()} == {"empty": 9, "mask": COUNT - 10}


def test_certificate_without_anything_accepted_promises_nothing(loop: Loop) -> None:
    found = loop.trust.certificate()
    assert (found.whole.accepted, found.whole.left, found.strata) == (0, 0, {})


# Probes and holdout


def test_probes_are_drawn_before_any_score_and_never_accepted(tmp_path: Path, pictures: Path) -> None:
    settings = Settings(**{**QUICK, "probe_share": 0.5})
    with Project.create(tmp_path / "project", settings=settings) as project:
        project.add(list(scan(parse_source(str(pictures)))))
        loop = Loop(project)
        probes = [record.image_id for record in project.images() if record.probe]
        assert 4 < len(probes) < 20
        _model(loop)
        _predict(loop, _ids(loop), 0.99)
        assert sorted(record.image_id for record in loop.queue()) == probes
        loop.set_threshold(0.1)
        assert project.counts().accepted == COUNT - len(probes)
        for image_id in probes:
            assert loop.commit(image_id, _mask(6)).split is Split.HOLDOUT


def test_share_of_probes_is_kept() -> None:
    drawn = [is_probe(hashlib.sha256(b"%d" % number).digest(), 0.02) for number in range(20_000)]
    assert abs(sum(drawn) - 400) < 90
    assert not any(is_probe(hashlib.sha256(b"%d" % number).digest(), 0.0) for number in range(100))


def test_no_holdout_image_ever_enters_a_batch(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(**{**QUICK, "probe_share": 0.3, "first_steps": 3, "steps": 3, "patch": 32, "batch": 4})
    drawn: set[str | None] = set()
    draw = Batches.draw

    def noted(self: Batches, *arguments: object, **named: object) -> object:
        answer = draw(self, *arguments, **named)
        drawn.update(sample.image_sha256 for sample in answer[2])
        return answer

    monkeypatch.setattr(Batches, "draw", noted)
    with Project.create(tmp_path / "project", settings=settings) as project:
        project.add(list(scan(parse_source(str(pictures)))))
        loop = Loop(project)
        held: set[str] = set()
        for turn in range(3):
            for record in loop.queue(limit=7):
                loop.commit(record.image_id, _mask(8 + turn))
            job = loop.freeze_round(from_scratch=True)
            held |= {str(sample.image_sha256) for sample in job.holdout}
            rounds = run_round(job)
            with contextlib.suppress(StopIteration):
                while True:
                    next(rounds)
        probes = {record.sha256 for record in project.images() if record.probe}
        in_holdout = {project.image(label.image_id).sha256 for label in project.labels(split=Split.HOLDOUT)}
    assert drawn
    assert held == in_holdout
    assert not drawn & (in_holdout | probes)
    assert isinstance(Core, type)


# The calibrated gate and the sweep


def _bundle(iou: float) -> Bundle:
    """Whatever the soft IoU says, masks have had this IoU."""
    pairs = [Pair(Figures(soft, 1.0, 0.1, {}), iou) for soft in np.linspace(0.3, 0.99, 40)]
    return Bundle(fit_calibrator(pairs, below=0.8), 0.8)


def test_gate_asks_the_calibrator(loop: Loop) -> None:
    _model(loop, _bundle(0.5))
    assert loop.trust.is_calibrated
    _predict(loop, _ids(loop)[:3], 0.99)
    record = loop.project.image(_ids(loop)[0])
    assert record.state is ImageState.QUEUED
    assert record.confidence == pytest.approx(0.5, abs=0.03)
    assert record.signals["wrong"] > 0.8
    _model(loop, _bundle(0.97))
    _predict(loop, _ids(loop)[:3], 0.4)
    assert loop.project.image(_ids(loop)[0]).state is ImageState.ACCEPTED


def test_image_of_an_unknown_kind_is_trusted_less_before_there_is_a_calibrator(loop: Loop) -> None:
    _model(loop, Bundle(None, 0.8))
    known, unknown, *_ = _ids(loop)
    _predict(loop, [known], 0.95, look_distance=0.015)
    _predict(loop, [unknown], 0.95, look_distance=0.4)
    assert loop.project.image(known).confidence == pytest.approx(0.95)
    assert loop.project.image(known).state is ImageState.ACCEPTED
    assert loop.project.image(unknown).confidence == pytest.approx(0.95 * 0.62**2)
    assert loop.project.image(unknown).state is ImageState.QUEUED


def test_version_without_pairs_is_not_calibrated(loop: Loop) -> None:
    _model(loop, Bundle(None, 0.8))
    assert not loop.trust.is_calibrated
    _predict(loop, _ids(loop)[:1], 0.9)
    assert loop.project.image(_ids(loop)[0]).confidence == 0.9


def test_bundle_is_kept_with_its_version(loop: Loop, tmp_path: Path) -> None:
    version = _model(loop, _bundle(0.7))
    (record,) = [record for record in loop.project.versions() if record.version == version]
    assert Bundle.from_text(record.bundle) == _bundle(0.7)


def test_champion_is_compared_with_the_versions_that_were_in_use_before(loop: Loop) -> None:
    versions = [_model(loop) for _ in range(5)]
    job = loop.prediction_job()
    assert job is not None
    assert job.version == versions[-1]
    assert [elder.version for elder in job.elders] == [4, 3, 2]
    loop.rollback(2)
    assert [elder.version for elder in loop.trust.elders()] == [1]


def test_damaged_bundle_leaves_the_gate_uncalibrated(loop: Loop, tmp_path: Path) -> None:
    _model(loop, _bundle(0.5))
    with contextlib.closing(sqlite3.connect(tmp_path / "project" / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE versions SET bundle = '{'")
        catalogue.commit()
    assert not loop.trust.is_calibrated


def test_mask_that_the_champion_bears_out_stands(loop: Loop) -> None:
    first = _model(loop)
    image_id = _ids(loop)[0]
    _predict(loop, [image_id], 0.9, size=6)
    _model(loop)
    _predict(loop, [image_id], 0.2, size=7, kept=0.97)
    record = loop.project.image(image_id)
    assert (record.state, record.model_version) == (ImageState.ACCEPTED, first)
    assert np.array_equal(loop.opening_mask(image_id), _mask(6))
    assert loop.project.accepts.count() == 1
    job = loop.prediction_job()
    assert job is None or image_id not in {item.image_id for item in job.items}


def test_contradicted_mask_is_accepted_anew_with_another_coin_or_queued(loop: Loop) -> None:
    _model(loop)
    ids = _ids(loop)[:2]
    _predict(loop, ids, 0.9, size=6)
    _model(loop)
    _predict(loop, ids[:1], 0.9, size=9, kept=0.5)
    _predict(loop, ids[1:], 0.3, size=9, kept=0.5)
    assert [loop.project.image(image_id).state for image_id in ids] == [ImageState.ACCEPTED, ImageState.QUEUED]
    assert [len(loop.project.accepts.of_image(image_id)) for image_id in ids] == [2, 1]


def test_person_s_mask_is_final(loop: Loop) -> None:
    image_id = _ids(loop)[0]
    loop.commit(image_id, _mask(9))
    _model(loop)
    _predict(loop, [image_id], 0.99, size=5, kept=0.1)
    assert loop.project.image(image_id).state is ImageState.LABELLED
    assert np.array_equal(loop.opening_mask(image_id), _mask(9))
    assert loop.project.accepts.count() == 0


# Drift


def _drifted(loop: Loop) -> None:
    rng = np.random.default_rng(0)
    with contextlib.closing(sqlite3.connect(loop.project.folder / "catalogue.sqlite")) as catalogue:
        catalogue.execute("PRAGMA foreign_keys = OFF")
        scores = [*rng.beta(20, 2, 300), *rng.beta(3, 6, 100)]
        rows = [(1000 + index, 1, float(score)) for index, score in enumerate(scores)]
        catalogue.executemany("INSERT INTO sights (image_id, model_version, score) VALUES (?, ?, ?)", rows)
        catalogue.commit()


def test_alarm_tightens_the_gate_and_audits_four_times_as_often_until_told(loop: Loop) -> None:
    loop.project.save_settings(loop.project.settings.model_copy(update={"audit_share": 0.1}))
    _model(loop)
    _predict(loop, _ids(loop)[:2], 0.9)
    assert loop.project.counts().accepted == 2
    _drifted(loop)
    assert loop.trust.watch()
    assert loop.trust.is_alarmed
    assert not loop.trust.watch()  # once is enough
    epoch = loop.project.accepts.epoch()
    assert epoch is not None
    assert epoch.rate == pytest.approx(0.4)
    _predict(loop, _ids(loop)[2:4], 0.9)
    assert loop.project.counts().accepted == 2
    _predict(loop, _ids(loop)[4:6], 0.96)
    assert loop.project.counts().accepted == 4
    loop.commit(_ids(loop)[2], _mask(6))
    events = loop.project.accepts.count()
    assert loop.go_on() == (1, 0)  # the other one that had waited for the alarm alone
    assert loop.project.accepts.count() == events + 1  # each with a coin of its own
    assert loop.project.image(_ids(loop)[2]).state is ImageState.LABELLED
    assert not loop.trust.is_alarmed
    assert not loop.trust.watch()
    assert loop.trust.drift() == []
    _predict(loop, _ids(loop)[6:8], 0.9)
    assert loop.project.counts().accepted == 7
    assert [part.epoch for part in loop.project.accepts.tallies()["mask"]] == [2, 3, 4]


def test_threshold_that_is_moved_during_an_alarm_does_not_loosen_the_gate(loop: Loop) -> None:
    _model(loop)
    _predict(loop, _ids(loop)[:2], 0.9)
    _drifted(loop)
    assert loop.trust.watch()
    _predict(loop, _ids(loop)[2:4], 0.9)
    events = loop.project.accepts.count()
    loop.set_threshold(0.7)
    assert loop.project.settings.threshold == 0.7
    assert loop.project.counts().accepted == 0
    assert loop.project.accepts.count() == events
    loop.project.save_settings(loop.project.settings.model_copy(update={"threshold": 0.71}))
    assert loop.project.counts().accepted == 0
    folder = loop.project.folder
    loop.project.close()
    with Project.open(folder) as again:  # the alarm outlasts the program
        loop = Loop(again)
        assert again.counts().accepted == 0
        assert loop.go_on() == (4, 0)
        assert again.counts().accepted == 4


def test_image_is_sighted_once(loop: Loop) -> None:
    for confidence in (0.7, 0.9):
        _model(loop)
        _predict(loop, _ids(loop)[:3], confidence)
    assert [score for _, _, _, score in loop.project.accepts.sights()] == [0.7] * 3

"""Every mask that was accepted without a look, the secret coin that was flipped for it, and what audits have found."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labeler.certificate import Audited
from labeler.database import Database, now

_ACCEPT = "SELECT id, image_id, model_version, mask_sha256, confidence, coin, stratum, epoch, created FROM accepts"
_AUDIT = "SELECT id, accept_id, answer, seconds, label_id, repeat_of, created FROM audits"
_EPOCH = "SELECT epoch, rate, below, alarm, seed, seed_sha256, reason, created FROM epochs"
# The masks that stand accepted now and have no event yet.
_NEW = """
SELECT i.id, i.model_version, i.prediction_sha256, i.confidence, i.foreground FROM images i
WHERE i.state = 'accepted' AND i.prediction_sha256 IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM accepts a WHERE a.image_id = i.id AND a.mask_sha256 = i.prediction_sha256)
"""


class Answer(StrEnum):
    """What a person says of a mask in an audit."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A time in which coins have one probability ``rate`` and a mask is wrong below the IoU ``below``.

    ``seed_sha256`` commits to the secret seed of the coins; ``alarm`` says that drift has opened it.
    """

    number: int
    rate: float
    below: float
    alarm: bool
    seed_sha256: str
    reason: str
    created: str


@dataclass(frozen=True, slots=True)
class Accept:
    """One mask that was accepted without a look; ``coin`` heads: it is to be audited."""

    accept_id: int
    image_id: int
    model_version: int
    mask_sha256: str
    confidence: float | None
    coin: bool
    stratum: str  # "mask" or "empty"
    epoch: int
    created: str


@dataclass(frozen=True, slots=True)
class Audit:
    """One answer; a repeat is shown as if it were the first time and measures the person's agreement."""

    audit_id: int
    accept_id: int
    answer: Answer
    seconds: float
    label_id: int | None
    repeat_of: int | None
    created: str


def coin_of(seed: bytes, accept_id: int, rate: float) -> bool:
    """Heads with probability ``rate``: HMAC-SHA256(seed, accept id in decimal), its first 8 bytes / 2^64 < rate.

    Anyone who was given SHA-256(seed) beforehand and the seed afterwards can check every coin.
    """
    digest = hmac.new(seed, str(accept_id).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") < rate * 2**64


class Accepts:
    """Accept events, epochs and audits of one project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Epochs

    def epochs(self) -> list[Epoch]:
        """All epochs, the one that goes on last."""
        return [_epoch(row) for row in self._database.rows(f"{_EPOCH} ORDER BY epoch")]

    def epoch(self) -> Epoch | None:
        """The epoch that goes on; None in a project that has not begun one."""
        row = self._database.row(f"{_EPOCH} ORDER BY epoch DESC LIMIT 1")
        return None if row is None else _epoch(row)

    def begin_epoch(self, *, rate: float, below: float, reason: str, alarm: bool = False) -> Epoch:
        """Flip coins from now on with another probability and a new seed, whose SHA-256 is written down at once."""
        seed = secrets.token_bytes(32)
        digest = hashlib.sha256(seed).hexdigest()
        with self._database.transaction():
            self._database.write(
                "INSERT INTO epochs (rate, below, alarm, seed, seed_sha256, reason, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (rate, below, int(alarm), seed, digest, reason, now()),
            )
            epoch = self.epoch()
            assert epoch is not None
            self._database.log("epoch", epoch=epoch.number, rate=rate, below=below, reason=reason, seed_sha256=digest)
        return epoch

    def keep_up(self, *, rate: float, below: float) -> None:
        """Begin the first epoch, or another one where the settings are no longer those of the current one."""
        epoch = self.epoch()
        if epoch is None:
            self.begin_epoch(rate=rate, below=below, reason="start")
        elif not epoch.alarm and (epoch.rate, epoch.below) != (rate, below):
            self.begin_epoch(rate=rate, below=below, reason="settings")

    def reveal(self, number: int) -> bytes:
        """The seed of an epoch that is over; ValueError for the one that goes on: its coins must stay secret."""
        row = self._database.row(f"{_EPOCH} WHERE epoch = ?", (number,))
        current = self.epoch()
        if row is None or current is None or current.number == number:
            raise ValueError(f"epoch {number} is not over")
        return bytes(row[4])

    # Events

    def note(self, image_ids: Iterable[int] | None = None) -> int:
        """Events and coins for the masks that stand accepted and have none, inside the caller's transaction.

        A mask that was accepted before and comes back unchanged keeps its event and its coin. How many there were.
        """
        only = "" if image_ids is None else " AND i.id IN (SELECT value FROM json_each(?))"
        values = () if image_ids is None else (json.dumps(list(image_ids)),)
        found = self._database.rows(f"{_NEW}{only} ORDER BY i.id", values)
        if not found:
            return 0
        row = self._database.row(f"{_EPOCH} ORDER BY epoch DESC LIMIT 1")
        if row is None:
            return 0  # a catalogue without a project: nobody has said how often to audit
        number, rate, seed = int(row[0]), float(row[1]), bytes(row[4])
        last = self._database.row("SELECT coalesce(max(id), 0) FROM accepts")
        first = 1 + (0 if last is None else int(last[0]))
        created = now()
        self._database.write_many(
            "INSERT INTO accepts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    accept_id,
                    image_id,
                    version,
                    digest,
                    confidence,
                    int(coin_of(seed, accept_id, rate)),
                    "mask" if foreground is None or foreground > 0 else "empty",
                    number,
                    created,
                )
                for accept_id, (image_id, version, digest, confidence, foreground) in enumerate(found, first)
            ),
        )
        return len(found)

    def accept(self, accept_id: int) -> Accept | None:
        """One event."""
        row = self._database.row(f"{_ACCEPT} WHERE id = ?", (accept_id,))
        return None if row is None else _accept(row)

    def events(self) -> list[Accept]:
        """All events, oldest first."""
        return [_accept(row) for row in self._database.rows(f"{_ACCEPT} ORDER BY id")]

    def of_image(self, image_id: int) -> list[Accept]:
        """All events of an image, oldest first."""
        return [_accept(row) for row in self._database.rows(f"{_ACCEPT} WHERE image_id = ? ORDER BY id", (image_id,))]

    def count(self) -> int:
        """How many events there are."""
        row = self._database.row("SELECT count(*) FROM accepts")
        return 0 if row is None else int(row[0])

    # Audits

    def pending(self) -> list[Accept]:
        """Heads that nobody has answered, in an order that tells nothing."""
        rows = self._database.rows(
            f"{_ACCEPT} a WHERE coin = 1 AND NOT EXISTS (SELECT 1 FROM audits u WHERE u.accept_id = a.id)"
        )
        return sorted(map(_accept, rows), key=lambda accept: hashlib.sha256(b"%d" % accept.accept_id).digest())

    def count_pending(self) -> int:
        """How many audits wait."""
        row = self._database.row(
            "SELECT count(*) FROM accepts a WHERE coin = 1 "
            "AND NOT EXISTS (SELECT 1 FROM audits u WHERE u.accept_id = a.id)"
        )
        return 0 if row is None else int(row[0])

    def awaited(self, image_ids: Sequence[int]) -> set[tuple[int, int]]:
        """(image id, model version) of the masks of these images that an audit still has to be shown."""
        rows = self._database.rows(
            "SELECT image_id, model_version FROM accepts a WHERE coin = 1 "
            "AND image_id IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM audits u WHERE u.accept_id = a.id)",
            (json.dumps(list(image_ids)),),
        )
        return set(rows)

    def audits(self, accept_id: int | None = None) -> list[Audit]:
        """All answers, or those about one event, oldest first."""
        where, values = ("", ()) if accept_id is None else (" WHERE accept_id = ?", (accept_id,))
        return [_audit(row) for row in self._database.rows(f"{_AUDIT}{where} ORDER BY id", values)]

    def answer(self, accept: Accept, answer: Answer, *, seconds: float) -> Audit:
        """Write an answer down; a second one about the same event is a repeat. A wrong mask waits for a person.

        No model touches an image again that an audit found wrong: the gate leaves it to the person.
        """
        with self._database.transaction():
            before = self.audits(accept.accept_id)
            repeat_of = before[0].audit_id if before else None
            audit_id = self._database.write(
                "INSERT INTO audits (accept_id, answer, seconds, label_id, repeat_of, created) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (accept.accept_id, answer, seconds, None, repeat_of, now()),
            ).lastrowid
            if answer is Answer.WRONG:
                self._database.write(
                    "UPDATE images SET reserved = 1, reason = ?, "
                    "state = CASE state WHEN 'accepted' THEN 'queued' ELSE state END "
                    "WHERE id = ? AND prediction_sha256 = ?",
                    ("an audit found its mask wrong", accept.image_id, bytes.fromhex(accept.mask_sha256)),
                )
            self._database.log("audit", accept=accept.accept_id, answer=answer, repeat_of=repeat_of)
        return next(audit for audit in self.audits(accept.accept_id) if audit.audit_id == audit_id)

    def mended(self, image_id: int, label_id: int) -> None:
        """A person's mask has taken the place of those that audits found wrong."""
        with self._database.transaction():
            self._database.write(
                "UPDATE audits SET label_id = ? WHERE answer = 'wrong' AND label_id IS NULL "
                "AND accept_id IN (SELECT id FROM accepts WHERE image_id = ?)",
                (label_id, image_id),
            )

    # What they tell

    def mark(self) -> tuple[int, int, int]:
        """Changes whenever the tallies may have: newest event, newest answer, epoch. Cheap at any size."""
        row = self._database.row(
            "SELECT (SELECT coalesce(max(id), 0) FROM accepts), (SELECT coalesce(max(id), 0) FROM audits), "
            "(SELECT coalesce(max(epoch), 0) FROM epochs)"
        )
        return (0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]))

    def tallies(self) -> dict[str, list[Audited]]:
        """Per stratum the counts of each epoch; the first answer counts, a repeat does not."""
        rows = self._database.rows(
            "SELECT a.stratum, a.epoch, e.rate, count(*), sum(a.coin), "
            "sum(a.coin AND u.answer = 'wrong'), sum(a.coin AND u.answer IS NULL) "
            "FROM accepts a JOIN epochs e ON e.epoch = a.epoch "
            "LEFT JOIN audits u ON u.accept_id = a.id AND u.repeat_of IS NULL GROUP BY a.stratum, a.epoch"
        )
        found: dict[str, list[Audited]] = {}
        for stratum, epoch, rate, accepted, heads, wrong, unfinished in rows:
            part = Audited(int(accepted), int(heads), int(wrong or 0), int(unfinished), float(rate), int(epoch))
            found.setdefault(stratum, []).append(part)
        return found

    def versions(self) -> set[int]:
        """The model versions whose masks were accepted."""
        return {int(row[0]) for row in self._database.rows("SELECT DISTINCT model_version FROM accepts")}

    def agreement(self) -> tuple[int, int]:
        """Of how many blind repeats the person said the same, and how many there were."""
        row = self._database.row(
            "SELECT coalesce(sum(u.answer = f.answer), 0), count(*) FROM audits u JOIN audits f ON f.id = u.repeat_of"
        )
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def log_lines(self) -> list[str]:
        """The audit log, a JSON object a line, without the seeds: what the certificate's hash is of."""
        epochs = [
            {"epoch": e.number, "rate": e.rate, "below": e.below, "seed_sha256": e.seed_sha256} for e in self.epochs()
        ]
        accepts = [
            {
                "accept": a.accept_id,
                "image": a.image_id,
                "version": a.model_version,
                "mask_sha256": a.mask_sha256,
                "coin": int(a.coin),
                "stratum": a.stratum,
                "epoch": a.epoch,
            }
            for a in self.events()
        ]
        audits = [
            {"audit": u.audit_id, "accept": u.accept_id, "answer": u.answer.value, "repeat_of": u.repeat_of}
            for u in self.audits()
        ]
        return [json.dumps(entry, sort_keys=True) for entry in (*epochs, *accepts, *audits)]

    # Sights: the score of an image by the model that was in use when it came

    def sights(self, *, after: int = 0) -> list[tuple[int, int, int, float]]:
        """(sight id, image id, model version, score) in the order of arrival."""
        return self._database.rows(
            "SELECT id, image_id, model_version, score FROM sights WHERE id > ? AND score IS NOT NULL ORDER BY id",
            (after,),
        )

    def sight(self, scores: Iterable[tuple[int, int, float]]) -> None:
        """Remember (image id, model version, score) of images that no model has seen before, in the transaction."""
        self._database.write_many(
            "INSERT OR IGNORE INTO sights (image_id, model_version, score) VALUES (?, ?, ?)", scores
        )


def _epoch(row: tuple[Any, ...]) -> Epoch:
    number, rate, below, alarm, _seed, digest, reason, created = row
    return Epoch(number, rate, below, bool(alarm), digest, reason, created)


def _accept(row: tuple[Any, ...]) -> Accept:
    accept_id, image_id, version, digest, confidence, coin, stratum, epoch, created = row
    return Accept(accept_id, image_id, version, digest.hex(), confidence, bool(coin), stratum, epoch, created)


def _audit(row: tuple[Any, ...]) -> Audit:
    audit_id, accept_id, answer, seconds, label_id, repeat_of, created = row
    return Audit(audit_id, accept_id, Answer(answer), seconds, label_id, repeat_of, created)

"""The project's folder: files and catalogue kept in step, so that a crash leaves an orphan and never a lie."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler import hold, layout, projectfile, schema
from labeler.accepts import Accepts
from labeler.catalogue import Catalogue
from labeler.database import Database, Event, now
from labeler.errors import ImageError, MaskError, ProjectError, SettingsError
from labeler.files import remove_staged
from labeler.hold import Hold
from labeler.journal import Journal
from labeler.ledger import Ledger, RoundRecord
from labeler.locations import Locations
from labeler.pixels import Pixels, StoredPrediction
from labeler.projectfile import ProjectFile
from labeler.records import (
    Brief,
    Counts,
    ImageRecord,
    ImageState,
    LabelOrigin,
    LabelRecord,
    Mask,
    PredictionRecord,
    Split,
    StreamItem,
    UnreadableItem,
    VersionRecord,
    VersionStatus,
)
from labeler.settings import Settings
from labeler.volume import network_share

__all__ = ["Event", "Project", "RoundRecord"]


class Project:
    """One open project, locked for this process. For one thread; every statement is short."""

    def __init__(self, held: Hold, content: ProjectFile) -> None:
        """Use ``create``, ``open`` or ``view``."""
        self.folder = folder = held.folder
        self.settings = content.settings
        self.sources = content.sources
        self.masks_folder, self.predictions_folder, self.models_folder, self.journal_folder, self.frames_folder = (
            folder / name for name in layout.FOLDERS
        )
        self._hold = held
        self._database = database = held.database
        self.catalogue = Catalogue(database, home=folder)
        self._ledger = Ledger(database, masks=self.masks_folder, models=self.models_folder)
        self._pixels = Pixels(self.catalogue, self._ledger, home=folder, predictions=self.predictions_folder)

    # The folder

    @classmethod
    def create(cls, folder: Path, *, settings: Settings | None = None, sources: Sequence[str] = ()) -> Project:
        """A new project in a new or empty folder; ProjectError where something lies there already."""
        settings = settings or Settings()
        with hold.made(folder.absolute()) as held:
            content = ProjectFile(settings, tuple(sources))
            project = cls(held, content)
            held.database.set_fact("threshold", repr(settings.threshold))
            held.database.set_fact("folder", os.fsencode(held.folder).hex())
            project.accepts.keep_up(rate=settings.audit_share, below=settings.wrong_below)
            # Last: a folder with this file is a whole project.
            held.keep(content)
        return project

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open and lock a project and finish what a kill has left.

        ProjectLocked names who has it open. ProjectError where it is missing, damaged or newer: nothing is changed.
        """
        content = projectfile.load(folder.absolute())
        with hold.taken(folder.absolute()) as held:
            project = cls(held, content)
            project._finish_what_was_left()
        return project

    @classmethod
    def view(cls, folder: Path) -> Project:
        """A look at a project that cannot be written or is open elsewhere: nothing is locked or changed.

        The catalogue is a copy of this moment; whatever would write raises StorageError.
        """
        content = projectfile.load(folder.absolute())
        return cls(hold.viewed(folder.absolute()), content)

    @property
    def warning(self) -> str:
        """What a person should know of the disk that the project lies on; mostly empty."""
        share = network_share(self.folder)
        return f"{self.folder} is on a network share ({share}): slower, and locks may fail" if share else ""

    @property
    def changes(self) -> int:
        """Grows with every change of the catalogue: what was read at the same figure still holds."""
        return self._database.changes

    @property
    def is_writable(self) -> bool:
        """Whether this is more than a ``view``."""
        return self._hold.lock is not None

    def close(self) -> None:
        """Close the catalogue and let the lock go; a second time does nothing."""
        self._hold.release()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish_what_was_left(self) -> None:
        for folder in (self.folder, *(self.folder / name for name in layout.FOLDERS)):
            remove_staged(folder)
        self._follow_move()
        self.accepts.keep_up(rate=self.settings.audit_share, below=self.settings.wrong_below)
        with self._database.transaction():
            self.accepts.note()  # of a project that was made before there were coins
        if self._database.fact("threshold") != repr(self.settings.threshold) and not self._is_alarmed:
            self.catalogue.regate(self.settings.threshold)  # killed between file and rows, or edited by hand
        for image_id in self.drafts():
            self._drop_committed_draft(image_id)

    def _follow_move(self) -> None:
        """A project that was moved together with its images finds them at the same place beside it."""
        was = Path(os.fsdecode(bytes.fromhex(self._database.fact("folder") or "")))
        if was == self.folder:
            return
        old_root, new_root = was, self.folder
        while old_root.name and old_root.name == new_root.name:
            old_root, new_root = old_root.parent, new_root.parent
        for old in self.catalogue.locations.folders_below(old_root):
            new = new_root / old.relative_to(old_root)
            if not old.is_dir() and new.is_dir():
                self.relink(old, new)
        self._database.set_fact("folder", os.fsencode(self.folder).hex())

    def _drop_committed_draft(self, image_id: int) -> None:
        """A kill between the row of a label and the end of its journal leaves a draft of what is committed."""
        label = self._ledger.label(image_id)
        draft = None if label is None else Journal.replay(self.journal_path(image_id))
        with contextlib.suppress(MaskError):  # of a damaged label: then the draft is all there is
            if draft is not None and np.array_equal(draft.mask(), self.label_mask(image_id)):
                self.journal_path(image_id).unlink()

    def save_settings(self, settings: Settings) -> None:
        """Keep settings; SettingsError where a class that labels or the model use would be lost or get another number.

        Classes may be renamed and added at any time: the next round starts from nothing then, with one output more.
        """
        self._refuse_lost_classes(settings.classes)
        changed = settings.threshold != self.settings.threshold
        self._keep(settings, self.sources)
        self.accepts.keep_up(rate=settings.audit_share, below=settings.wrong_below)
        if changed and not self._is_alarmed:
            self.catalogue.regate(settings.threshold)

    @property
    def _is_alarmed(self) -> bool:
        """Whether the gate asks for more than the setting, until a person goes on."""
        epoch = self.accepts.epoch()
        return epoch is not None and epoch.alarm

    def _refuse_lost_classes(self, classes: tuple[str, ...]) -> None:
        labelled = self._ledger.highest_class()
        known = labelled if self.champion() is None else len(self.settings.classes)
        for number, name in enumerate(self.settings.classes[:known]):
            if number >= len(classes) or (name in classes and classes.index(name) != number):
                at = number + 1
                if number < labelled:
                    raise SettingsError(
                        f"classes: '{name}' is used by labels and must stay number {at}; it may be renamed"
                    )
                raise SettingsError(
                    f"classes: '{name}' is known to the model and must stay number {at}; it may be renamed"
                )

    def add_source(self, source: str) -> None:
        """Remember one more source of images."""
        if source not in self.sources:
            self._keep(self.settings, (*self.sources, source))

    def _keep(self, settings: Settings, sources: tuple[str, ...]) -> None:
        self._hold.keep(ProjectFile(settings, sources))
        self.settings, self.sources = settings, sources

    # Images

    def add(self, items: Sequence[StreamItem | UnreadableItem]) -> list[int]:
        """Take up what a stream has found, in one transaction; ids of the new images, unreadable ones too."""
        return self.catalogue.add(items, probe_share=self.settings.probe_share)

    def image(self, image_id: int) -> ImageRecord:
        """One image; ProjectError where there is none with this id."""
        return self.catalogue.image(image_id)

    def images(self, *, state: ImageState | None = None, after: int = 0, limit: int | None = None) -> list[ImageRecord]:
        """Images with an id above ``after``, by id."""
        return self.catalogue.images(state=state, after=after, limit=limit)

    def briefs(self, *, after: int = 0, limit: int) -> list[Brief]:
        """What lists sort and filter by, of the images with an id above ``after``; some microseconds an image."""
        return self.catalogue.briefs(after=after, limit=limit)

    def briefs_of(self, image_ids: Iterable[int]) -> list[Brief]:
        """What lists sort and filter by, of these images."""
        return self.catalogue.briefs_of(image_ids)

    def counts(self) -> Counts:
        """How many images are in each state; a short statement at any size."""
        return self.catalogue.counts()

    def known_paths(self) -> dict[Path, tuple[int, float]]:
        """Every path that was seen, with its size and time of change then."""
        return self.catalogue.locations.known_paths()

    @staticmethod
    def known_paths_in(folder: Path) -> dict[Path, tuple[int, float]]:
        """``known_paths`` of the project in ``folder``, from any thread: 1e5 paths take a second."""
        path = folder / layout.CATALOGUE
        with contextlib.closing(Database(schema.reader(path), path, writable=False)) as database:
            return Locations(database, home=folder).known_paths()

    def resolve(self, image_id: int) -> Path:
        """The file of an image; ImageError where it is gone."""
        path = self.image(image_id).path
        if not path.is_file():
            raise ImageError(f"{path}: is missing; put it back, or exclude it")
        return path

    def relink(self, old_root: Path, new_root: Path) -> int:
        """Look for all images below ``old_root`` below ``new_root`` from now on; how many images that are."""
        old_root, new_root = old_root.absolute(), new_root.absolute()
        if not new_root.is_dir():
            raise ProjectError(f"{new_root}: is no folder; choose the one to which the images were moved")
        moved = self.catalogue.locations.relink(old_root, new_root)
        sources = tuple(_rebased(source, old_root, new_root) for source in self.sources)
        if sources != self.sources:
            self._keep(self.settings, sources)
        return moved

    def set_state(self, image_id: int, state: ImageState, *, reason: str = "") -> None:
        """Another state for one image. Back in the pool it is predicted again."""
        self.catalogue.set_state(image_id, state, reason=reason)

    def skip(self, image_id: int) -> None:
        """Count that a person has put the image off."""
        self.catalogue.skip(image_id)

    # Predictions

    @property
    def accepts(self) -> Accepts:
        """What was accepted without a look, and its audits."""
        return self.catalogue.accepts

    def record_predictions(
        self, records: Sequence[PredictionRecord], *, threshold: float, stands: Set[int] = frozenset()
    ) -> None:
        """Figures, gate, accept events, in one transaction; accepted masks in ``stands`` are left as they are."""
        champion = self._ledger.champion()
        version = None if champion is None else champion.version
        idle = self.catalogue.record_predictions(records, threshold=threshold, champion=version, stands=stands)
        replaced = [(image_id, before) for image_id, before in idle if before != version]
        # A replaced mask is kept until it is audited, and for good if a label was compared with it.
        ids = [image_id for image_id, _ in replaced]
        kept = self.accepts.awaited(ids) | self._ledger.judged(ids)
        self._pixels.keep_previous(replaced, version=version, but=kept)
        self._pixels.delete((image_id, made) for image_id, made in idle if made == version)

    def prediction(self, image_id: int) -> tuple[Mask, NDArray[np.uint8], PredictionRecord] | None:
        """Mask, probabilities and figures of the current prediction.

        None where there is none, or its files are lost: then the image is predicted again.
        """
        return self._pixels.prediction(self.image(image_id))

    def stored_prediction(self, image_id: int) -> StoredPrediction | None:
        """Where the pixels of the current prediction lie, to be read on another thread; None where there is none."""
        return self._pixels.stored_prediction(self.image(image_id))

    def moved_by_round(self) -> dict[int, str]:
        """What became another state since the champion was published: image id -> the state before."""
        champion = self._ledger.champion()
        return {} if champion is None else self.catalogue.moved_by(champion.version)

    def prediction_before(self, image_id: int) -> tuple[Mask, int] | None:
        """Mask and version of the prediction that the current one replaced; None where it is gone."""
        return self._pixels.prediction_before(self.image(image_id))

    def regate(self, threshold: float, *, in_force: float | None = None) -> tuple[int, int]:
        """Move the threshold, or ask for more than it for a time (``in_force``): (newly accepted, newly queued)."""
        self._keep(self.settings.model_copy(update={"threshold": threshold}), self.sources)
        return self.catalogue.regate(threshold if in_force is None else in_force)

    def count_to_predict(self) -> int:
        """How many undecided images the champion has still to predict; they keep state and order meanwhile."""
        champion = self._ledger.champion()
        return self.catalogue.count_to_predict(None if champion is None else champion.version)

    def to_predict(self, version: int, *, limit: int, accepted: bool = True) -> list[ImageRecord]:
        """Queue, pool, then ``accepted`` images without a prediction by ``version``; of each, the unsurest first."""
        return self.catalogue.to_predict(version, limit=limit, accepted=accepted)

    # Labels

    def commit_label(
        self, image_id: int, mask: Mask, *, origin: LabelOrigin, split: Split, seconds: float = 0.0
    ) -> LabelRecord:
        """Keep a person's mask (H, W) as a new revision: file first, row second. A relabel keeps its split.

        MaskError for a wrong size, type or class, StorageError where the disk refuses: the old revision stays.
        """
        self._hold.refuse_view()
        image = self.image(image_id)
        return self._pixels.commit(
            image, mask, classes=self.settings.classes, origin=origin, split=split, seconds=seconds
        )

    def count_labels(self, *, split: Split, after: int = 0) -> int:
        """How many labelled images have a label in ``split`` with an id above ``after``."""
        return self._ledger.count_labels(split=split, after=after)

    def has_empty_label(self) -> bool:
        """Whether a person has ever labelled an image as holding nothing."""
        return self._ledger.has_empty_label()

    def labels(self, *, split: Split | None = None) -> list[LabelRecord]:
        """The valid label of each labelled image, in the order in which they were made."""
        return self._ledger.labels(split=split)

    def revisions(self, image_id: int) -> list[LabelRecord]:
        """All labels that an image has had and that are not known to be damaged, oldest first."""
        return self._ledger.revisions(image_id)

    def label_mask(self, image_id: int) -> Mask:
        """The mask (H, W) of an image's valid label.

        A damaged file is moved aside to ``*.damaged`` and the revision before it becomes valid; MaskError where none
        is left: the image waits for a person again.
        """
        return self._pixels.label_mask(self.image(image_id))

    # Model versions

    def next_version(self) -> int:
        """The number of the next model."""
        return self._ledger.next_version()

    def add_version(
        self,
        path: Path,
        *,
        sha256: str,
        parent: int | None,
        status: VersionStatus,
        core_count: int,
        holdout_count: int,
        holdout_iou: float | None,
        core_iou: float | None,
        metrics: dict[str, Any],
        bundle: str = "",
    ) -> VersionRecord:
        """Take up a model whose file lies in ``models_folder`` as ``0007.safetensors``; a champion retires the old."""
        record = VersionRecord(
            version=int(path.stem),
            path=self.models_folder / path.name,
            sha256=sha256,
            parent=parent,
            status=status,
            core_count=core_count,
            holdout_count=holdout_count,
            holdout_iou=holdout_iou,
            core_iou=core_iou,
            created=now(),
            metrics=metrics,
            bundle=bundle,
        )
        self._ledger.add_version(record)
        return record

    def versions(self) -> list[VersionRecord]:
        """All model versions, oldest first."""
        return self._ledger.versions()

    def champion(self) -> VersionRecord | None:
        """The model version in use."""
        return self._ledger.champion()

    def set_champion(self, version: int) -> None:
        """Use another version; the one before is retired."""
        self._ledger.set_champion(version)

    # Rounds, events, drafts

    def record_round(
        self,
        *,
        seconds: float,
        steps: int,
        core_count: int,
        version: int | None,
        published: bool,
        champion_iou: float | None = None,
        challenger_iou: float | None = None,
        reason: str = "",
    ) -> int:
        """Keep a round that has ended, well or not; its id."""
        return self._ledger.add_round(
            started=now(seconds_ago=seconds),
            seconds=seconds,
            steps=steps,
            core_count=core_count,
            version=version,
            published=published,
            champion_iou=champion_iou,
            challenger_iou=challenger_iou,
            reason=reason,
        )

    def rounds(self) -> list[RoundRecord]:
        """All rounds, oldest first."""
        return self._ledger.rounds()

    def log(self, kind: str, **payload: Any) -> None:
        """Keep an event; ``payload`` is what JSON can hold."""
        self._database.log(kind, **payload)

    def events(self, *, kind: str | None = None, limit: int = 1000) -> list[Event]:
        """The newest events, the oldest of them first."""
        return self._database.events(kind=kind, limit=limit)

    def journal_path(self, image_id: int) -> Path:
        """Where the journal of the mask of an image lies while it is edited."""
        return self.journal_folder / f"{image_id}.journal"

    def drafts(self) -> list[int]:
        """Ids of the images with a journal, edits that were never committed; the one drawn on last comes first."""
        found = []
        for path in self.journal_folder.glob("*.journal"):
            with contextlib.suppress(FileNotFoundError):
                if path.stem.isdecimal():
                    found.append((-path.stat().st_mtime_ns, int(path.stem)))
        return [image_id for _, image_id in sorted(found)]


def _rebased(source: str, old_root: Path, new_root: Path) -> str:
    path = Path(source)
    return str(new_root / path.relative_to(old_root)) if path.is_relative_to(old_root) else source

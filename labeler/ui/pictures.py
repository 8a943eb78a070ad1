"""Images and thumbnails for the window: decoded elsewhere, kept a while, the next one before it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from labeler.errors import ImageError
from labeler.pixels import StoredPrediction
from labeler.project import Project
from labeler.records import ImageState, Mask
from labeler.ui.worker import ImageLoader, Load, LoadRequest, Picture

IMAGE_BYTES = 256 * 2**20  # of decoded images and predictions kept; the newest stays whatever its size
THUMBNAILS = 600
THUMBNAIL_SIDE = 96


class Pictures(QObject):
    """What the window shows of image files; it reads the project and writes nothing."""

    loaded = Signal(int, object)  # image_id, Pyramid; ``prediction`` has what was read with it
    failed = Signal(int, object)  # image_id, exception
    thumbnail_ready = Signal(int, object)  # image_id, (h, w, 3) uint8

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._loader = ImageLoader(parent=self)
        self._loader.loaded.connect(self._take)
        self._loader.failed.connect(self._refuse)
        self._project: Project | None = None
        self._opening = 0
        self._wanted = -1  # the image to show as soon as it is decoded
        self._ahead: list[int] = []  # still to be decoded before they are asked for
        self._images: OrderedDict[int, Picture] = OrderedDict()
        self._thumbnails: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._asked: set[int] = set()  # thumbnails on their way, and those that cannot be had

    def open(self, project: Project) -> None:
        """Serve this project."""
        self.close()
        self._project = project

    def close(self) -> None:
        """Forget the project; what is still being decoded is thrown away when it comes."""
        self._loader.forget()
        self._opening += 1
        self._project = None
        self._wanted = -1
        self._ahead.clear()
        self._images.clear()
        self._thumbnails.clear()
        self._asked.clear()

    def shut_down(self) -> bool:
        """End the thread."""
        self.close()
        return self._loader.shut_down()

    def show(self, image_id: int) -> None:
        """``loaded`` follows: at once if the image is kept, else when it is decoded."""
        self._wanted = image_id
        kept = self._images.get(image_id)
        if kept is not None:
            self._images.move_to_end(image_id)
            self.loaded.emit(image_id, kept.pyramid)
            return
        try:
            self._request(image_id, Load.SHOW)
        except ImageError as error:
            self.failed.emit(image_id, error)

    def prefetch(self, image_ids: Sequence[int]) -> None:
        """Decode, one after the other, images that will probably be shown next, and their predictions."""
        self._ahead = [image_id for image_id in image_ids if not self._is_ready(image_id)]
        self._go_ahead()

    def prediction(self, image_id: int) -> tuple[Mask, NDArray[np.uint8]] | None:
        """Mask and probabilities of the current prediction, where they have been read ahead."""
        return self._images[image_id].prediction if self._is_ready(image_id) else None

    def _is_ready(self, image_id: int) -> bool:
        kept = self._images.get(image_id)
        return kept is not None and kept.stored == self._stored(image_id)

    def _stored(self, image_id: int) -> StoredPrediction | None:
        return None if self._project is None else self._project.stored_prediction(image_id)

    def _go_ahead(self) -> None:
        while self._ahead:
            image_id = self._ahead.pop(0)
            try:
                self._request(image_id, Load.AHEAD)
            except ImageError:
                continue  # said when it is shown
            return

    def request_thumbnail(self, image_id: int) -> None:
        """``thumbnail_ready`` follows, at once if it is kept; nothing for an image that cannot be read."""
        if (kept := self._thumbnails.get(image_id)) is not None:
            self._thumbnails.move_to_end(image_id)
            self.thumbnail_ready.emit(image_id, kept)
            return
        if self._project is None or image_id in self._asked:
            return
        self._asked.add(image_id)
        try:
            if self._project.image(image_id).state is not ImageState.UNREADABLE:
                self._request(image_id, Load.THUMBNAIL)
        except ImageError:
            return  # the gallery shows its state instead

    def _request(self, image_id: int, kind: Load) -> None:
        if self._project is None:
            return
        path = self._project.resolve(image_id)
        # A thumbnail of changed pixels is a thumbnail; an image to paint on must be the one that was predicted.
        digest = None if kind is Load.THUMBNAIL else self._project.image(image_id).sha256
        kept = self._images.get(image_id)
        wanted = LoadRequest(
            image_id,
            kind,
            path,
            digest,
            THUMBNAIL_SIDE,
            self._opening,
            stored=None if kind is Load.THUMBNAIL else self._stored(image_id),
            kept=None if kept is None else kept.pyramid,
        )
        self._asked.difference_update(dropped.image_id for dropped in self._loader.request(wanted))

    @Slot(object, object)
    def _take(self, wanted: LoadRequest, array: Any) -> None:
        if wanted.opening != self._opening:
            return
        if wanted.kind is Load.THUMBNAIL:
            self._asked.discard(wanted.image_id)
            self._thumbnails[wanted.image_id] = array
            if len(self._thumbnails) > THUMBNAILS:
                self._thumbnails.popitem(last=False)
            self.thumbnail_ready.emit(wanted.image_id, array)
            return
        self._keep(wanted.image_id, array)
        if wanted.kind is Load.AHEAD:
            self._go_ahead()
        if wanted.image_id == self._wanted:
            self._wanted = -1
            self.loaded.emit(wanted.image_id, array.pyramid)

    def _keep(self, image_id: int, picture: Picture) -> None:
        self._images[image_id] = picture
        self._images.move_to_end(image_id)
        while len(self._images) > 1 and sum(kept.nbytes for kept in self._images.values()) > IMAGE_BYTES:
            self._images.popitem(last=False)

    @Slot(object, object)
    def _refuse(self, wanted: LoadRequest, error: Exception) -> None:
        if wanted.opening == self._opening and wanted.image_id == self._wanted and wanted.kind is not Load.THUMBNAIL:
            self._wanted = -1
            self.failed.emit(wanted.image_id, error)

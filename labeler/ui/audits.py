"""One audit after another: asks the session for a case, shows it, and comes back when a wrong mask has been mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from labeler.ui.auditing import AuditDialog

if TYPE_CHECKING:
    from labeler.ui.session import Session


class Audits(QObject):
    """Drives the dialog; it holds nothing but what is being mended."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._mending = -1
        self.dialog = AuditDialog(window)
        self.dialog.answered.connect(self._keep)
        session.committed.connect(self._note_commit)
        session.closed.connect(self._end)

    def begin(self) -> None:
        """Show the first audit that waits; a message where none does."""
        case = self._session.next_audit()
        if case is None:
            self.dialog.hide()
            self._session.message.emit(self.tr("No audit waits."))
            return
        self.dialog.show_case(case)
        self.dialog.show()
        self.dialog.raise_()

    @Slot(int, bool, float)
    def _keep(self, accept_id: int, wrong: bool, seconds: float) -> None:
        self._session.answer_audit(accept_id, wrong, seconds)
        if wrong and self._session.current >= 0:
            self._mending = self._session.current
            self.dialog.hide()
            self._session.message.emit(self.tr("Mend this mask and accept it; the audits go on then."))
        else:
            self.begin()

    @Slot(int)
    def _note_commit(self, image_id: int) -> None:
        if image_id == self._mending:
            self._mending = -1
            self.begin()

    @Slot()
    def _end(self) -> None:
        self._mending = -1
        self.dialog.hide()

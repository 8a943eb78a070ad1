"""One process has a project open: an operating system's lock decides, its text only names the holder."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from labeler.errors import ProjectLocked, StorageError

# Windows locks are mandatory: the locked byte lies far behind the text, so that others can read who holds it.
_LOCKED_BYTE = 1 << 30


class FolderLock:
    """An exclusive lock on a folder, held until ``release`` or the death of the process (kill -9 too)."""

    def __init__(self, path: Path) -> None:
        """Take the lock; ProjectLocked names the holder, StorageError a folder that cannot be locked."""
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{path}: cannot be locked ({error.strerror}); is the folder read-only?") from error
        try:
            _lock(self._handle)
        except (BlockingIOError, PermissionError) as error:
            holder = self._holder()
            os.close(self._handle)
            raise ProjectLocked(f"{path.parent}: already open in {holder}; close it there first") from error
        except OSError as error:
            os.close(self._handle)
            why = error.strerror or str(error)
            raise StorageError(f"{path}: cannot be locked ({why}); move the project to a local disk") from error
        self._write(f"process {os.getpid()} on {socket.gethostname()}" + "\n")

    def release(self) -> None:
        """Let go. The file stays: deleting it would race with a process that has just opened it."""
        if self._handle < 0:
            return
        self._write("")
        os.close(self._handle)
        self._handle = -1

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return os.read(self._handle, 300).decode("utf-8", "replace").strip() or "another process"
        return "another process"

    def _write(self, text: str) -> None:
        # In place: a replaced file would be another file to the lock. A torn text only spoils a message.
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, text.encode())


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""News of a folder from the operating system: the names of files that have changed."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

# watchdog 7 says so when folders are made one in another; the later of two equal entries counts.
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
# What it logs when it is closed or a folder goes is of no use to a person; the watcher notices by itself.
logging.getLogger("watchdog").setLevel(logging.CRITICAL)

_KINDS = frozenset(("created", "modified", "moved", "closed"))  # not "opened": we open the files ourselves
_MOST_NAMES = 100_000


class FolderNews(FileSystemEventHandler):
    """Collects the names that watchdog's thread reports until they are asked for.

    Only names wait here, and no more than a fixed number: beyond it, all that is known is that there is news.
    """

    def __init__(self, root: Path) -> None:
        """OSError where the system cannot watch the folder: its limit of watches is reached, or the folder is gone."""
        self._changed = threading.Condition()
        self._names: set[str] = set()
        self._unnamed = False
        self._observer: BaseObserver = Observer()
        self._observer.schedule(self, str(root), recursive=True)
        self._observer.start()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, on its thread."""
        if event.event_type not in _KINDS:
            return
        with self._changed:
            if event.is_directory:
                # Files can be in a new folder before the folder itself is watched.
                self._unnamed = self._unnamed or event.event_type in ("created", "moved")
            elif len(self._names) < _MOST_NAMES:
                self._names.add(os.fsdecode(event.dest_path or event.src_path))
            else:
                self._unnamed = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Return when there is news, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._names or self._unnamed), timeout)

    def take(self, most: int) -> set[Path]:
        """Up to ``most`` files that have changed; the others stay."""
        with self._changed:
            return {Path(self._names.pop()) for _ in range(min(most, len(self._names)))}

    def take_unnamed(self) -> bool:
        """Whether something has changed that has no name here, so that the whole folder is to be looked at."""
        with self._changed:
            unnamed, self._unnamed = self._unnamed, False
            return unnamed

    def close(self) -> None:
        """Stop watchdog's threads and wait for them."""
        self._observer.stop()
        self._observer.join(5)

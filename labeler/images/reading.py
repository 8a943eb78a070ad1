"""Bytes of a file, read once and never from anything that could block or never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from labeler.errors import ImageError

FILE_LIMIT = 3 * 2**30  # bytes; above the largest picture that the decoder takes, uncompressed
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def shown(path: Path | str) -> str:
    """The name of a file as it may be printed: no control characters, no bytes that are not UTF-8."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def refusal(name: str, what: str, way_out: str) -> ImageError:
    """The one shape of all refusals: name, what is wrong, what to do."""
    return ImageError(f"{name}: {what}; {way_out}")


def read(path: Path) -> bytes:
    """All bytes of a regular file; ImageError for anything else (pipes and devices are not even opened)."""
    name = shown(path.name)
    try:
        _check_kind(path.stat(), name)
        handle = os.open(path, _READ_FLAGS)
        with open(handle, "rb") as stream:  # noqa: PTH123 - a handle, not a path
            # Again on the open file: between the two calls another one may have taken its place.
            size = _check_kind(os.fstat(handle), name)
            payload = stream.read(size) if size else b""
    except OSError as error:
        raise _unread(name, error) from error
    except MemoryError as error:
        raise refusal(
            name, "is larger than the free memory", "close other programs or cut it into smaller images"
        ) from error
    except ValueError as error:  # a NUL in the name
        raise refusal(name, "is no name that a file can have", "correct the name") from error
    return payload


def _check_kind(status: os.stat_result, name: str) -> int:
    """Size of a regular file that is not absurdly large; ImageError otherwise."""
    if stat.S_ISDIR(status.st_mode):
        raise refusal(name, "is a folder, not an image", "open the folder itself as a source")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(name, "is a pipe, socket or device, not a file", "save the image to a file")
    if status.st_size > FILE_LIMIT:
        raise refusal(name, f"is too large ({status.st_size / 1e9:.1f} GB)", "cut it into smaller images")
    return status.st_size


def _unread(name: str, error: OSError) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return refusal(name, "is missing", "put it back or choose where it is now")
    if isinstance(error, PermissionError):
        return refusal(name, "may not be read (permission denied)", "change its permissions")
    return refusal(name, f"cannot be read ({error.strerror or error})", "check the drive and the name, then try again")

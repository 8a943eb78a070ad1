"""What kind of disk a folder lies on: SQLite's write-ahead log and file locks are not safe on network shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SHARES = frozenset({"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb2", "smb3", "smbfs"})
_SHARES_IN_USER_SPACE = ("fuse.sshfs", "fuse.rclone", "fuse.davfs", "fuse.glusterfs", "fuse.gvfsd", "fuse.s3fs")
_MOUNTS = Path("/proc/self/mounts")


def network_share(folder: Path) -> str:
    """The kind of network share that ``folder`` lies on ("nfs4", "cifs", ...); empty for a local disk or unknown."""
    if sys.platform == "win32":
        return "a Windows share" if str(folder.resolve()).startswith("\\\\") else ""
    try:
        mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    kind = filesystem_of(os.path.realpath(folder), mounts)
    return kind if kind in _SHARES or kind.startswith(_SHARES_IN_USER_SPACE) else ""


def filesystem_of(folder: str, mounts: str) -> str:
    """Type of the file system that holds ``folder``, from the text of /proc/mounts: the longest mount point wins."""
    found = ("", "")
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = _unescaped(fields[1])
        if (folder == place or folder.startswith(place.rstrip("/") + "/")) and len(place) >= len(found[0]):
            found = (place, fields[2])
    return found[1]


def _unescaped(place: str) -> str:
    # The kernel writes blanks in mount points as octal numbers.
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, character)
    return place

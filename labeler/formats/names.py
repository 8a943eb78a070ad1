"""Names of files as text that survives CSV, JSON and other people's file systems, and comes back exactly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

LONGEST_STEM = 150  # bytes; leaves room for a suffix below the usual limit of 255
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORMULA = frozenset("=+-@\t\r＝＋－＠")  # what makes a spreadsheet run a cell
_UNPORTABLE = frozenset('<>:"|?*\\/')


def escape(name: str) -> str:
    """``name`` (as the file system gave it) as clean UTF-8 text.

    Control characters and bytes that are no UTF-8 become %XX; a % is escaped only where it would be read as one
    of these, so that ordinary names stay as they are. ``unescape`` is the exact inverse for every name that a POSIX
    system can give; a lone surrogate, which only Windows allows, comes back as the bytes of its UTF-8 form.
    """
    return "".join(_escaped(name, at) for at in range(len(name)))


def _escaped(name: str, at: int) -> str:
    character = name[at]
    if character == "%" and re.match(r"%[0-9A-Fa-f]{2}", name[at : at + 3]):
        return "%25"
    if "\ud800" <= character <= "\udfff" or unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
        return percent(character)
    return character


def percent(character: str) -> str:
    """%XX for each byte of ``character``."""
    return "".join(f"%{byte:02X}" for byte in _bytes(character))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass")


def unescape(text: str) -> str:
    """The name that ``escape`` or ``csv_cell`` made ``text`` from."""
    raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), _bytes(text))
    return raw.decode("utf-8", "surrogateescape")


def csv_cell(text: str) -> str:
    """An escaped ``text`` as a cell that no spreadsheet takes for a formula; ``unescape`` gives the name back."""
    return percent(text[0]) + text[1:] if text and text[0] in _FORMULA else text


def mask_names(images: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Image id -> stem of its mask's file, each one once, also where case or accents are not told apart.

    ``images`` are (image_id, escaped name). The stem of the image where that is free, else with the image's id.
    """
    taken: set[str] = set()
    names: dict[int, str] = {}
    for image_id, name in images:
        whole = portable(PurePosixPath(name).stem)
        stem = whole.encode()[:LONGEST_STEM].decode(errors="ignore")
        candidate = stem if stem == whole else f"{stem}-{image_id}"
        while _folded(candidate) in taken:
            candidate = f"{candidate}-{image_id}"
        taken.add(_folded(candidate))
        names[image_id] = candidate
    return names


def portable(stem: str) -> str:
    """An escaped ``stem`` without the characters that some file systems refuse."""
    text = "".join(percent(character) if character in _UNPORTABLE else character for character in stem)
    return text[:-1] + percent(text[-1]) if text[-1:] in {".", " "} else text


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())

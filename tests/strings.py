"""Every sentence that the window can say, read from the source: ``python tests/strings.py`` lists what lacks German."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from labeler import errors
from labeler.settings import Preferences, Settings
from labeler.ui.actions import ACTIONS, GESTURES
from labeler.ui.form import _CHOICES, _TITLES
from labeler.ui.language import FOLDER, sentences
from labeler.ui.strip import _MEANINGS
from labeler.ui.told import templates

PACKAGE = Path(__file__).parents[1] / "labeler"
UI = PACKAGE / "ui"
TRANSLATING = {"tr", "_tr", "translated", "translate"}
# Sentences of the core that the window repeats; each must stand in its source.
OF_THE_CORE = {"loop.py": "Label an image first: a round needs at least one label in the core."}


def in_calls() -> Iterator[tuple[Path, int, str]]:
    """File, line and text of every call that translates a literal."""
    for path in sorted(UI.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in TRANSLATING and node.args:
                found = node.args[-1 if _name(node.func) == "translate" else 0]
                if isinstance(found, ast.Constant) and isinstance(found.value, str) and found.value:
                    yield path, node.lineno, found.value


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def in_tables() -> Iterator[str]:
    """The texts of the tables, which are translated when they are shown."""
    for spec in ACTIONS:
        yield from filter(None, (spec.text, spec.tip, spec.short, spec.group))
    for text, how in GESTURES:
        yield from (text, how)
    yield from _MEANINGS.values()
    yield from OF_THE_CORE.values()
    for table in (Settings, Preferences):
        for name, info in table.model_fields.items():
            if not isinstance(info.json_schema_extra, dict):
                continue
            yield from (str(info.json_schema_extra["group"]), info.description or "")
            yield _TITLES.get(name, name.replace("_", " ").capitalize())
            if get_origin(info.annotation) is Literal:
                yield from (str(value).capitalize() for value in get_args(info.annotation) if value not in _CHOICES)


# Parts of the core's sentences that are put together before they reach an error; each must stand in its source.
PARTS = {
    "images/containers.py": (
        "{}, which is not read",
        *("a GIF", "a PDF", "a numpy array", "a zip archive", "a gzip archive", "XML or SVG"),
        "a HEIC, AVIF or video file, which is not read as an image",
        "filled with zeros, probably by a crash or a full disk, and no image",
        "no image that can be read",
    ),
    "images/raster.py": ("needs {} GB of memory, and {} GB are free",),
    "stream/frames.py": ("is missing", "is no film that can be read, or it is damaged"),
    "accepts.py": ("an audit found its mask wrong",),
    "lock.py": ("process {} on {}", "another process"),
    "settings.py": (
        "there is no such setting",
        *("1 to 254 different names are needed", "colours like #E69F00 are needed, with commas between them"),
        "0, or {} to 1, is needed",
    ),
    "checkpoint.py": ("not a sound safetensors file ({})", "not a plain PyTorch state dict ({})"),
    "stream/watcher.py": (
        "{}; it is tried again",
        "{}: the system does not report all changes ({}), so it is looked at from time to time; on Linux raise "
        "fs.inotify.max_user_watches, or open fewer folders",
    ),
}
# Reasons of the operating system that stand in brackets in many sentences, as glibc words them.
OF_THE_SYSTEM = {
    *("Disk quota exceeded", "File exists", "File too large", "Input/output error", "Is a directory"),
    *("No space left on device", "No such file or directory", "Not a directory", "Operation not permitted"),
    *("Permission denied", "Read-only file system", "Stale file handle", "Too many open files"),
}


def in_source(path: Path) -> set[str]:
    """Templates of every text in a file of the core."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        re.sub(r"\s+", " ", _template(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr)
    }


def told_by_the_core() -> set[str]:
    """Templates of the sentences with which the core refuses something, {} in the place of each value.

    Errors of the tree, and refusals of images, which are put together from a name, a reason and a way out. What the
    command line alone can say is left out.
    """
    found = set()
    for path in sorted(PACKAGE.glob("**/*.py")):
        if path.relative_to(PACKAGE).parts[0] in ("ui", "cli", "studies"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) == "refusal":
                found.add("{}: " + "; ".join(map(_template, node.args[1:])))
            elif isinstance(node, ast.Call) and _name(node.func) in _ERRORS and node.args:
                found.add(_template(node.args[0]))
            elif isinstance(node, ast.Call) and _name(node.func) == "UnreadableItem":
                found.add(_template(node.args[1]))
    found |= {part for parts in PARTS.values() for part in parts} | OF_THE_SYSTEM
    return {text for text in found if text.replace("{}", "").strip(" :;")}


_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return "{}"


def every() -> list[str]:
    """Every sentence, once, sorted."""
    return sorted({text for _, _, text in in_calls()} | set(in_tables()))


if __name__ == "__main__":
    lacking = {text: "" for text in every() if text not in sentences("de")}
    stale = sorted(set(sentences("de")) - set(every()))
    core = told_by_the_core()
    lacking |= dict.fromkeys(sorted(core - set(templates("de"))), "")
    stale += sorted(set(templates("de")) - core)
    sys.stdout.write(json.dumps({"lacking": lacking, "stale": stale}, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{FOLDER}: {len(lacking)} lacking, {len(stale)} stale\n")

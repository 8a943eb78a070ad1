"""Every sentence that the window can say, read from the source: ``python tests/strings.py`` lists what lacks German."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from labeler.settings import Preferences, Settings
from labeler.ui.actions import ACTIONS, GESTURES
from labeler.ui.form import _CHOICES, _TITLES
from labeler.ui.language import FOLDER, sentences
from labeler.ui.strip import _MEANINGS

UI = Path(__file__).parents[1] / "labeler" / "ui"
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


def every() -> list[str]:
    """Every sentence, once, sorted."""
    return sorted({text for _, _, text in in_calls()} | set(in_tables()))


if __name__ == "__main__":
    lacking = {text: "" for text in every() if text not in sentences("de")}
    stale = sorted(set(sentences("de")) - set(every()))
    sys.stdout.write(json.dumps({"lacking": lacking, "stale": stale}, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{FOLDER}: {len(lacking)} lacking, {len(stale)} stale\n")

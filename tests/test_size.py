"""The window stays in modules and functions that can be read at once."""

from __future__ import annotations

import ast
from pathlib import Path

UI = Path(__file__).parents[1] / "labeler" / "ui"
LONGEST_MODULE, LONGEST_FUNCTION = 450, 60  # lines


def functions(source: str) -> dict[str, int]:
    """Name -> lines, from ``def`` to the last statement."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return {f"{node.name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in found}


def test_no_module_of_the_window_is_too_long() -> None:
    lines = {path.name: path.read_text("utf-8").count("\n") for path in UI.glob("**/*.py")}

    assert lines
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_no_function_of_the_window_is_too_long() -> None:
    lengths = {
        f"{path.name}: {name}": count
        for path in UI.glob("**/*.py")
        for name, count in functions(path.read_text("utf-8")).items()
    }

    assert lengths
    assert {name: count for name, count in lengths.items() if count > LONGEST_FUNCTION} == {}


def test_a_function_that_is_too_long_would_be_found() -> None:
    assert functions("def f():\n" + "    pass\n" * 61) == {"f:1": 62}

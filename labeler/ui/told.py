"""Sentences of the core in the language of the window. The core knows no languages: it says what is wrong in English.

Its sentences are templates filled with values, so a table of templates is enough to translate them: the template that
a sentence fits is found again, its values are taken out and put into the template of the other language. A value that
is itself such a sentence, a reason in brackets for instance, is translated too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "languages" / "core"
_GAP = "{}"
_DEEPEST = 3  # a reason in a reason in a sentence


def templates(code: str) -> dict[str, str]:
    """English template -> template in a language, {} for each value, in the same order; nothing for English."""
    path = FOLDER / f"{code}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


class Interpreter:
    """Translates by one table of templates; what fits none stays as it is."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table

    @functools.cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        # The template that says most comes first: "{}: {}; choose another model" fits much.
        longest = sorted(self._table, key=lambda template: -len(template.replace(_GAP, "")))
        return [
            (re.compile("(.+?)".join(map(re.escape, template.split(_GAP))), re.DOTALL), self._table[template])
            for template in longest
        ]

    def tell(self, sentence: str, *, depth: int = 0) -> str:
        """A sentence of the core in the language of the table."""
        if not self._table or depth > _DEEPEST or not sentence:
            return sentence
        for pattern, said in self._patterns:
            if (found := pattern.fullmatch(sentence)) is not None:
                pieces = said.split(_GAP)
                values = [self.tell(value, depth=depth + 1) for value in found.groups()]
                return "".join(part for pair in zip(pieces, [*values, ""], strict=True) for part in pair)
        return sentence


_interpreter = Interpreter({})


def speak(code: str) -> None:
    """Translate into this language from now on."""
    global _interpreter
    _interpreter = Interpreter(templates(code))


def told(sentence: str) -> str:
    """A sentence of the core in the language of the window."""
    return _interpreter.tell(sentence)

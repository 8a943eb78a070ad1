"""The language of the window: every sentence can be translated, and is."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale
from pytestqt.qtbot import QtBot
from strings import OF_THE_CORE, PARTS, UI, _name, every, in_source, told_by_the_core

from labeler import images
from labeler.errors import ImageError, ProjectError
from labeler.project import Project
from labeler.records import ImageState
from labeler.ui.language import Sentences, available, chosen, sentences, speak
from labeler.ui.told import Interpreter, templates
from labeler.ui.wording import percent, state_name


@pytest.mark.parametrize("code", [code for code in available() if code != "en"])
def test_every_sentence_has_a_translation(code: str) -> None:
    lacking = [text for text in every() if not sentences(code).get(text)]

    assert lacking == [], "add them to labeler/ui/languages; `python tests/strings.py` prints them as JSON"


@pytest.mark.parametrize("code", [code for code in available() if code != "en"])
def test_translations_fit_their_sentences(code: str) -> None:
    for english, translated in sentences(code).items():
        assert _fields(english) == _fields(translated), english
        assert english.endswith("…") == translated.endswith("…"), english


def _fields(text: str) -> list[tuple[str, str]]:
    return sorted((name or "", form or "") for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def test_no_translation_is_left_over() -> None:
    known = set(every())

    assert [text for text in sentences("de") if text not in known] == []


def test_sentences_of_the_core_stand_in_its_source() -> None:
    for name, text in OF_THE_CORE.items():
        assert text in (UI.parent / name).read_text("utf-8")


@pytest.mark.parametrize("code", [code for code in available() if code != "en"])
def test_every_sentence_of_the_core_has_a_translation_that_fits(code: str) -> None:
    table = templates(code)

    assert set(table) == told_by_the_core(), "`python tests/strings.py` prints what differs"
    for english, translated in table.items():
        assert english.count("{}") == translated.count("{}"), english


def test_parts_of_sentences_stand_in_the_source_of_the_core() -> None:
    for name, parts in PARTS.items():
        assert set(parts) <= in_source(UI.parent / name), name


def test_errors_of_the_core_are_told_in_the_language_of_the_window(tmp_path: Path) -> None:
    german = Interpreter(templates("de"))
    empty = tmp_path / "leer.png"
    empty.write_bytes(b"")
    with pytest.raises(ImageError) as refused:
        images.load(empty)
    with pytest.raises(ProjectError) as missing:
        Project.open(tmp_path / "nowhere")

    assert german.tell(str(refused.value)) == (
        "leer.png: ist leer (0 Byte); kopieren Sie die Datei noch einmal von dort, woher sie kam"
    )
    assert german.tell(str(missing.value)) == (
        f"{tmp_path}/nowhere: ist kein Projekt von labeler; legen Sie mit `labeler new` eines an"
    )


def test_reasons_within_a_sentence_are_translated_too() -> None:
    german = Interpreter(templates("de"))

    assert german.tell("/p/a: b; c: cannot be written (No space left on device); choose another folder") == (
        "/p/a: b; c: lässt sich nicht schreiben (auf dem Gerät ist kein Platz mehr); wählen Sie einen anderen Ordner"
    )
    said = german.tell(
        "no round without a readable label: 7.png: is not the mask that was saved (its hash differs); "
        "restore it or label the image again"
    )
    assert said.startswith("keine Runde ohne ein lesbares Label: 7.png: ist nicht die gespeicherte Maske")
    assert german.tell("something nobody has foreseen") == "something nobody has foreseen"


@pytest.mark.usefixtures("german")
def test_names_of_keys_are_those_of_the_system_not_those_of_a_setting() -> None:
    assert QCoreApplication.translate("settings", "Shift") == "Verschiebung"
    assert QCoreApplication.translate("QShortcut", "Shift") != "Verschiebung"


def spoken(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of the sentences in a source that go to a person without being translated."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name(node.func) in _SPOKEN:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and _is_words(argument.value):
                    yield node.lineno, argument.value


# Calls whose literal arguments a person would read.
_SPOKEN = {
    *("label", "setText", "setToolTip", "setAccessibleName", "setAccessibleDescription", "setPlaceholderText"),
    *("setWindowTitle", "addTab", "addItem", "addButton", "QPushButton", "QCheckBox", "QLabel", "QAction", "addMenu"),
    *("icon_button", "say", "report", "setTitle", "addRow", "emit", "draw_badge", "draw_empty", "setPrefix"),
}
_NO_WORDS = {"labeler", "cell, nucleus", "caption", "section", "title", "strong", "muted", "display", "figure", "body"}


def _is_words(text: str) -> bool:
    return text not in _NO_WORDS and sum(letter.isalpha() for letter in text) >= 4 and not text.islower()


def test_nothing_is_said_untranslated() -> None:
    found = {path.name: list(spoken(path.read_text("utf-8"))) for path in sorted(UI.glob("**/*.py"))}

    assert {name: texts for name, texts in found.items() if texts} == {}


def test_an_untranslated_sentence_would_be_found() -> None:
    assert list(spoken('made.setText("Nothing was exported")\nlabel(self.tr("Yes"), "caption")\n')) == [
        (1, "Nothing was exported")
    ]


@pytest.mark.parametrize(
    ("preference", "system", "code"),
    [
        ("de", "en_US", "de"),
        ("en", "de_DE", "en"),
        ("system", "de_AT", "de"),
        ("system", "fr_FR", "en"),
        ("system", "C", "en"),
    ],
)
def test_language_follows_the_preference_then_the_system(preference: str, system: str, code: str) -> None:
    assert chosen(preference, system=system) == code


@pytest.fixture
def german(qtbot: QtBot) -> Iterator[None]:
    app = QCoreApplication.instance()
    assert app is not None
    translator = Sentences("de", app)
    app.installTranslator(translator)
    yield
    app.removeTranslator(translator)


@pytest.mark.usefixtures("german")
def test_window_speaks_german_and_keeps_what_it_has_no_word_for() -> None:
    assert state_name(ImageState.EXCLUDED) == "Ausgeschlossen"
    assert QCoreApplication.translate("anything", "no such sentence") == "no such sentence"


def test_numbers_have_one_notation_whatever_the_system(qtbot: QtBot) -> None:
    app = QCoreApplication.instance()
    assert app is not None
    before = QLocale()
    QLocale.setDefault(QLocale("de_DE"))
    try:
        speak(app, "en")
        assert QLocale().toString(0.5, "f", 2) == "0.50"
        assert percent(0.5) == "50%"
    finally:
        QLocale.setDefault(before)

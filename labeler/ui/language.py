"""The language of the window: a JSON file of sentences each, and Qt's own for the standard buttons."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator

from labeler.ui import told

FOLDER = Path(__file__).parent / "languages"
ENGLISH = "en"  # the language of the source


def available() -> list[str]:
    """The codes of the languages there are; English first."""
    return [ENGLISH, *sorted(path.stem for path in FOLDER.glob("*.json"))]


def sentences(code: str) -> dict[str, str]:
    """English sentence -> sentence in a language; nothing for English."""
    path = FOLDER / f"{code}.json"
    return {} if code == ENGLISH else dict(json.loads(path.read_text("utf-8")))


def chosen(preference: str, *, system: str | None = None) -> str:
    """The language to speak: the one preferred, else that of the system where we have it, else English."""
    if preference in available():
        return preference
    code = (system or QLocale.system().name()).partition("_")[0]
    return code if code in available() else ENGLISH


class Sentences(QTranslator):
    """Translates by the sentence alone: the same words mean the same thing everywhere in this window.

    A plain file instead of Qt's compiled one: a person can mend a word in it, and it needs no tool to build. Only the
    main thread translates.
    """

    def __init__(self, code: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sentences = sentences(code)

    def isEmpty(self) -> bool:
        return not self._sentences

    def translate(self, context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str | None:
        # None, not "": an empty text would be taken for the translation. The names of keys are Qt's own: "Shift" is
        # a key there and a setting here.
        return None if context == "QShortcut" else self._sentences.get(text)


def speak(app: QCoreApplication, preference: str) -> str:
    """Speak a language from now on, before any widget is made; its code."""
    # One notation for numbers in fields and in sentences, whatever the system's is.
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    code = chosen(preference)
    told.speak(code)
    if code != ENGLISH:
        buttons = QTranslator(app)
        if buttons.load(f"qtbase_{code}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
            app.installTranslator(buttons)
        app.installTranslator(Sentences(code, app))
    return code

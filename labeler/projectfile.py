"""``project.toml``: the settings and sources of a project, for people to read and edit too."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from labeler.errors import ProjectError
from labeler.files import write_atomically
from labeler.settings import Settings, settings_from

NAME = "project.toml"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """What ``project.toml`` says."""

    settings: Settings
    sources: tuple[str, ...]


def save(folder: Path, content: ProjectFile) -> None:
    """Write ``project.toml``; StorageError where the disk refuses: the old one stays."""
    table = {"format": FORMAT, "sources": list(content.sources), "settings": content.settings.differing()}
    write_atomically(folder / NAME, tomli_w.dumps(table).encode("utf-8", "surrogateescape"))


def load(folder: Path) -> ProjectFile:
    """Read ``project.toml``; ProjectError where it is missing, newer or no TOML, SettingsError for a wrong setting."""
    path = folder / NAME
    try:
        table: dict[str, Any] = tomllib.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(f"{folder}: is no project of labeler; make one with `labeler new`") from error
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise ProjectError(f"{path}: is damaged ({error}); correct this line") from error
    form = table.get("format")
    if not isinstance(form, int) or form > FORMAT:
        raise ProjectError(f"{path}: has format {form}, this labeler knows up to {FORMAT}; update labeler")
    sources, values = table.get("sources", []), table.get("settings", {})
    if not (isinstance(sources, list) and all(isinstance(s, str) for s in sources) and isinstance(values, dict)):
        raise ProjectError(f"{path}: sources must be a list of texts and settings a table; correct these lines")
    return ProjectFile(settings_from(values, source=str(path)), tuple(sources))

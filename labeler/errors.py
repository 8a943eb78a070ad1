"""What the world can do to us. Anything else that is raised is a bug of ours."""

from __future__ import annotations


class LabelerError(Exception):
    """Base of all errors that are not our fault; the text names the file and the way out.

    LabelerError
    ├── ImageError        an image cannot be decoded or is not supported
    ├── MaskError         a mask has the wrong size, type or classes, or its file is damaged
    ├── ProjectError      a project folder is missing, damaged, newer than this program
    │   ├── ProjectLocked another process has it open
    │   └── CatalogueDamaged  its catalogue is lost or damaged and can be rebuilt
    ├── CheckpointError   a model file is damaged, foreign or of another architecture
    ├── StreamError       a source of images cannot be read at all
    ├── TrainingError     a round cannot be started or had to be given up
    ├── ExportError       an export failed or did not read back as written
    ├── SettingsError     a setting has a wrong value or an unknown name
    └── StorageError      the disk is full, read-only or gone
    """


class ImageError(LabelerError):
    """An image cannot be decoded or is not supported."""


class MaskError(LabelerError):
    """A mask has the wrong size, type or classes, or its file is damaged."""


class ProjectError(LabelerError):
    """A project folder is missing, damaged, or newer than this program."""


class ProjectLocked(ProjectError):
    """Another process has the project open."""


class CatalogueDamaged(ProjectError):
    """A project's catalogue is missing or damaged; its labels lie in files, from which it can be rebuilt."""


class CheckpointError(LabelerError):
    """A model file is damaged, foreign or of another architecture."""


class StreamError(LabelerError):
    """A source of images cannot be read at all."""


class TrainingError(LabelerError):
    """A round cannot be started or had to be given up."""


class ExportError(LabelerError):
    """An export failed or did not read back as written."""


class SettingsError(LabelerError):
    """A setting has a wrong value or an unknown name."""


class StorageError(LabelerError):
    """The disk is full, read-only or gone."""

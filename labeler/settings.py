"""Validated settings: one table, from which the TOML, the dialog and the help are made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

import platformdirs
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labeler.errors import SettingsError
from labeler.files import write_atomically

T = TypeVar("T", bound=BaseModel)
SMALLEST_SCALE = 1 / 64  # of images that a network works on; less leaves nothing to see


def _field(default: Any, description: str, group: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"group": group}, **limits)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def differing(self) -> dict[str, Any]:
        """The values that differ from the defaults, ready for TOML."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)


class Settings(_Table):
    """Settings of one project; ``project.toml`` keeps those that differ from the defaults."""

    classes: tuple[str, ...] = _field(("object",), "Names of the classes; pixel value 1 is the first.", "Classes")
    colours: tuple[str, ...] = _field(
        (), "Colours of the classes in their order, as #rrggbb; those left out are chosen for you.", "Classes"
    )
    threshold: float = _field(
        0.8075, "Confidence (predicted IoU) from which a mask is accepted without a person.", "Gate", ge=0, le=1
    )
    wrong_below: float = _field(
        0.8075, "IoU with a person's mask below which an accepted mask counts as wrong.", "Trust", gt=0, le=1
    )
    probe_share: float = _field(
        0.02, "Share of all images that are drawn for the holdout before they are scored.", "Trust", ge=0, le=0.5
    )
    audit_share: float = _field(
        0.05, "Share of the accepted masks that a secret coin draws for a blind audit.", "Trust", gt=0, le=1
    )
    audit_missed: float = _field(
        0.0, "Share of wrong masks that an auditor is assumed to miss; widens the bound.", "Trust", ge=0, lt=1
    )
    grey_share: float = _field(
        0.20, "Share of the images, the least certain, that are seen in further orientations.", "Trust", ge=0, le=1
    )
    first_labels: int = _field(8, "Labels before the first model is trained.", "Rounds", ge=2, le=1000)
    retrain_labels: int = _field(4, "New labels that start a round, at least.", "Rounds", ge=1, le=10000)
    retrain_share: float = _field(0.10, "New labels that start a round, as a share of the core.", "Rounds", ge=0, le=1)
    retrain_automatically: bool = _field(True, "Start rounds without being asked.", "Rounds")
    learn_accepted: bool = _field(
        True, "Learn from accepted masks too, once hardly anything waits and nearly all of them are sure.", "Rounds"
    )
    debounce_s: float = _field(
        2.0, "Seconds without a new label before a round starts by itself.", "Rounds", ge=0, le=600
    )
    holdout_every: int = _field(6, "Every n-th label judges and is never trained on.", "Rounds", ge=2, le=100)
    acquisition: Literal[
        "informative", "confidence", "margin", "entropy", "disagreement", "coreset", "random", "streamed"
    ] = _field("informative", "Which waiting image comes first.", "Rounds")
    base_width: int = _field(
        0, "Channels of the first stage of the U-Net (article: 16); 0 chooses by the device.", "Network", ge=0, le=64
    )
    scale: float = _field(
        0.0, "Scale at which the network sees the images; 0 chooses by the size of the objects.", "Network", ge=0, le=1
    )
    dropout: float = _field(0.0, "Dropout ratio of the U-Net (the article: 0.5).", "Network", ge=0, lt=1)
    patch: int = _field(
        128, "Side of the training crops in pixels, a multiple of 16.", "Training", ge=32, le=1024, multiple_of=16
    )
    batch: int = _field(10, "Crops in a training step.", "Training", ge=1, le=512)
    steps: int = _field(100, "Most steps of a round that goes on from the champion.", "Training", ge=1, le=1_000_000)
    first_steps: int = _field(400, "Most steps of the first round.", "Training", ge=1, le=1_000_000)
    long_steps: int = _field(
        1500,
        "Most steps of a long round (from nothing when the core has doubled, or on accepted masks) on up to 50 labels, "
        "up to three times as many on more; 0: no such round.",
        "Training",
        ge=0,
        le=1_000_000,
    )
    lr: float = _field(2e-3, "Peak learning rate of AdamW.", "Training", gt=0, le=1)
    dihedral: bool = _field(True, "Train on the eight rotations and reflections.", "Training")
    shift: int = _field(16, "Random shift of the crops, in pixels.", "Training", ge=0, le=512)
    stretch: float = _field(
        0.2, "Random stretch and shear of the crops along both axes, as a share.", "Training", ge=0, le=0.5
    )
    paste: float = _field(
        0.8,
        "Share of the crops over which an object of another is laid, where images show few.",
        "Training",
        ge=0,
        le=1,
    )
    brightness: float = _field(
        0.2, "Random change of brightness and contrast, in standard deviations.", "Training", ge=0, le=2
    )
    invert: Literal["auto", "yes", "no"] = _field(
        "auto", "Train on inverted images too; auto: where objects are both darker and brighter.", "Training"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = _field("auto", "Where to compute.", "Machine")
    threads: int = _field(0, "Processor threads for computing; 0 chooses.", "Machine", ge=0, le=256)
    memory_mb: int = _field(2048, "Memory for decoded training images, in MiB.", "Machine", ge=64, le=1_000_000)
    seed: int = _field(0, "Seed of everything that is drawn at random.", "Machine", ge=0)

    @field_validator("invert", mode="before")
    @classmethod
    def _once_true_or_false(cls, invert: Any) -> Any:
        return {True: "yes", False: "no"}.get(invert, invert) if isinstance(invert, bool) else invert

    @field_validator("scale")
    @classmethod
    def _chosen_or_visible(cls, scale: float) -> float:
        if 0 < scale < SMALLEST_SCALE:
            raise ValueError(f"0, or {SMALLEST_SCALE} to 1, is needed")
        return scale

    @field_validator("classes")
    @classmethod
    def _named_classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(classes) <= 254 or len(set(classes)) != len(classes) or not all(map(str.strip, classes)):
            raise ValueError("1 to 254 different names are needed")
        return classes

    @field_validator("colours")
    @classmethod
    def _written_colours(cls, colours: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch("#[0-9A-Fa-f]{6}", colour) for colour in colours):
            raise ValueError("colours like #E69F00 are needed, with commas between them")
        return colours


class Preferences(_Table):
    """What one person likes, kept beside no project."""

    language: Literal["system", "en", "de"] = _field("system", "Language, from the next start on.", "Look")
    theme: Literal["system", "light", "dark"] = _field("system", "Colours of the window.", "Look")
    ui_scale: float = _field(1.0, "Size of the text in the window.", "Look", ge=0.75, le=2)
    overlay: Literal["fill", "contour", "off"] = _field("fill", "How masks are drawn over the image.", "Canvas")
    opacity: float = _field(0.4, "Opacity of the filled mask.", "Canvas", ge=0.05, le=1)
    brush: float = _field(12.0, "Diameter of the brush, in image pixels.", "Canvas", ge=1, le=1024)
    eraser: float = _field(12.0, "Diameter of the eraser, in image pixels.", "Canvas", ge=1, le=1024)
    keep_view: bool = _field(False, "Keep zoom and position on the next image.", "Canvas")
    hints: bool = _field(True, "Explain a tool beside the cursor the first times it is used.", "Canvas")
    recent: tuple[str, ...] = Field((), description="Projects opened lately, newest first.")
    keys: dict[str, tuple[str, ...]] = Field({}, description="Keys of actions, where they are not those of the table.")
    hinted: dict[str, int] = Field({}, description="How often each hint was followed.")
    place: tuple[int, ...] = Field((), description="Where the window stood: x, y, width, height.")
    maximized: bool = Field(False, description="Whether the window filled the screen.")
    sides: tuple[int, ...] = Field((), description="Widths of the parts of the window.")


def settings_from(values: dict[str, Any], *, source: str) -> Settings:
    """Settings from plain values; SettingsError names ``source``, the setting and what is allowed."""
    return _validated(Settings, values, source)


def _validated(table: type[T], values: dict[str, Any], source: str) -> T:
    try:
        return table.model_validate(values)
    except ValidationError as error:
        name, why = first_fault(error)
        raise SettingsError(f"{source}: {name}: {why}; correct it or leave it out") from error


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The setting that was refused first, and why, in words for a person."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])) or "settings"
    if first["type"] == "extra_forbidden":
        return name, "there is no such setting"
    return name, str(first["ctx"]["error"] if first["type"] == "value_error" else first["msg"])


def preferences_path() -> Path:
    """File of the preferences, in the user's configuration folder."""
    return Path(platformdirs.user_config_dir("labeler", appauthor=False)) / "preferences.toml"


def load_preferences() -> Preferences:
    """The person's preferences; the default for each that is not there or means nothing here."""
    try:
        values = tomllib.loads(preferences_path().read_text("utf-8"))
    except (OSError, ValueError):
        return Preferences()
    try:
        return Preferences.model_validate(values)
    except ValidationError as error:
        unusable = {fault["loc"][0] for fault in error.errors()}
        return Preferences.model_validate({name: value for name, value in values.items() if name not in unusable})


def save_preferences(preferences: Preferences) -> None:
    """Write the preferences; StorageError where that is not possible."""
    path = preferences_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tomli_w.dumps(preferences.differing()).encode())

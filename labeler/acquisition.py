"""Which image a person sees next: plain functions from records to an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labeler.records import ImageRecord

Order = Callable[[Sequence[ImageRecord]], list[ImageRecord]]


def least_confident(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Lowest confidence first; what was skipped comes after what was not."""
    return sorted(records, key=lambda record: (record.skips, record.confidence or 0.0, record.image_id))


def random_order(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """A random order that never changes: by content hash. Skipped images come last."""
    return sorted(records, key=lambda record: (record.skips, record.sha256))


def as_streamed(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """In the order in which the images were found."""
    return sorted(records, key=lambda record: (record.skips, record.image_id))


ORDERS: dict[str, Order] = {"confidence": least_confident, "random": random_order, "streamed": as_streamed}

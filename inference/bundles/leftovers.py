"""Folders that a killed process left next to the bundles of a store: half copied, or half removed.

No reader sees them, because they have no manifest, but they fill the disk. A folder with a record of its release was
complete before, so its removal did not end. Any other folder may be a bundle that a process publishes now, so only an
old one is a leftover.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

ABANDONED = timedelta(hours=6)  # publishing a bundle takes minutes
# `manifest.new_version`, or the name under which a local store copies it (`LocalFolder.add`).
_NAME = re.compile(r"\.?([0-9]{8}T[0-9]{6})-[0-9a-f]{8}(\.[0-9a-f]{8})?")


def is_abandoned(name: str, *, was_released: bool, now: datetime | None = None) -> bool:
    """Whether no process writes to a folder without a manifest any more.

    Args:
        name: Name of the folder below `bundles/`.
        was_released: Whether the store has a record of its release.
        now: The time; None for the current time.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    began = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return was_released or (now or datetime.now(UTC)) - began > ABANDONED

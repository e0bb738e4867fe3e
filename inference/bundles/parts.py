"""The parts of sources as files: in a bundle, or in the folder that training fitted them in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from feature_repo.errors import BundleError
from inference.models.part import Part
from inference.sources import parts_of


def load_parts(folder: Path, sources: Iterable[str], num_threads: int = 1) -> dict[type[Part], Part]:
    """The parts of some sources from a bundle, or from a folder that training fitted them in.

    Args:
        folder: Holds the parts.
        sources: Names of the sources that read them.
        num_threads: Threads of one call of a model.

    Raises:
        BundleError: A part that every bundle has is missing, or a file is damaged.
    """
    present = set(part_paths(folder, sources))
    return {kind: kind.load(folder, num_threads) for kind in parts_of(sources) if present.issuperset(kind.paths)}


def part_paths(folder: Path, sources: Iterable[str]) -> list[str]:
    """Paths of all parts that a folder has.

    Raises:
        BundleError: A part is missing, or only some of its files are there.
    """
    found: list[str] = []
    for kind in parts_of(sources):
        missing = [path for path in kind.paths if not (folder / path).exists()]
        if missing and (kind.required or len(missing) < len(kind.paths)):
            raise BundleError(f"{folder} lacks {' and '.join(missing)}, which a bundle needs: build the index again.")
        if not missing:
            found += kind.paths
    return found

"""The parts of sources as files: in a bundle, or in the folder of a cutoff."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from feature_repo.errors import BundleError
from inference.models.part import Part
from inference.sources import parts_of


def load_parts(folder: Path, sources: Iterable[str], num_threads: int = 1) -> dict[type[Part], Part]:
    """Loads the parts of some sources from a bundle, or from the folder of a cutoff.

    Args:
        folder: Folder with the parts.
        sources: Names of the sources that read the parts.
        num_threads: Threads of a single call of a model.

    Raises:
        BundleError: A required part is missing, or a file is damaged.
    """
    present = set(part_paths(folder, sources))
    return {kind: kind.load(folder, num_threads) for kind in parts_of(sources) if present.issuperset(kind.paths)}


def part_paths(folder: Path, sources: Iterable[str]) -> list[str]:
    """Paths of all parts in a folder.

    Raises:
        BundleError: A required part is missing, or a part is incomplete.
    """
    found: list[str] = []
    for kind in parts_of(sources):
        missing = [path for path in kind.paths if not (folder / path).exists()]
        if missing and (kind.required or len(missing) < len(kind.paths)):
            raise BundleError(f"{folder} lacks {' and '.join(missing)}, which a bundle needs: build the index again.")
        if not missing:
            found += kind.paths
    return found

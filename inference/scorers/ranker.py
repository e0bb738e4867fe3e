"""Opens the ranker of a folder, of any kind. A new kind is one module with a class, and one line in `RANKERS`.

`ranker.json` names the kind. A folder without this file was written by an older version and holds LightGBM trees.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from feature_repo.errors import BundleError
from feature_repo.storage.files import read_json, write_json
from inference.scorers.protocol import Ranker

RANKER_FILE = "ranker.json"
RANKERS: Mapping[str, tuple[str, str]] = {"lightgbm": ("inference.scorers.lightgbm", "LightGbmRanker")}
LEGACY_KIND = "lightgbm"


class _Loader(Protocol):
    """A class of rankers."""

    def load(self, directory: Path, num_threads: int = 1) -> Ranker: ...


def write_kind(directory: Path, kind: str) -> None:
    """Writes `ranker.json` into a ranker's folder.

    Raises:
        KeyError: `open_ranker` does not know the kind.
    """
    _ = RANKERS[kind]
    write_json(directory / RANKER_FILE, {"kind": kind})


def open_ranker(directory: Path, num_threads: int = 1) -> Ranker:
    """Opens the ranker of a folder, and imports the library of its kind on demand.

    Args:
        directory: Folder that training wrote.
        num_threads: Threads of one call; 1 is best if several requests run at the same time.

    Raises:
        BundleError: The folder has no ranker, its kind is unknown, or a file is damaged.
    """
    if not directory.is_dir():
        raise BundleError(f"{directory} has no ranker: train again.")
    kind = _kind(directory)
    if kind not in RANKERS:
        raise BundleError(
            f"The ranker in {directory} has the kind {kind!r}, this code opens {', '.join(RANKERS)}: serve it with "
            "the code that made it."
        )
    module, name = RANKERS[kind]
    loader = cast(_Loader, getattr(importlib.import_module(module), name))
    return loader.load(directory, num_threads=num_threads)


def _kind(directory: Path) -> str:
    path = directory / RANKER_FILE
    if not path.is_file():
        return LEGACY_KIND
    try:
        content: Any = read_json(path)
        return str(content["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} does not name the kind of the ranker: {error}.") from error

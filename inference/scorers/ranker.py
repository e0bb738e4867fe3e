"""Opens the ranker of a folder, of any kind. A new kind is one module with a class, and one line in `RANKERS`.

`ranker.json` names the kind. A folder without this file was written by an older version and holds LightGBM trees.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from feature_repo.errors import BundleError
from feature_repo.storage.files import read_json, write_json
from inference.scorers.protocol import Ranker

RANKER_FILE = "ranker.json"
IMPORTANCE_FILE = "importance.json"  # gain of each feature of the trees, for reports
RANKERS: Mapping[str, tuple[str, str]] = {
    "lightgbm": ("inference.scorers.lightgbm", "LightGbmRanker"),
    "order": ("inference.scorers.order", "OrderRanker"),
}
LEGACY_KIND = "lightgbm"
BY_RANKER = "ranker"  # the order of a model, in contrast to the order of sources


class _Loader(Protocol):
    """A class of rankers."""

    def load(self, directory: Path, num_threads: int = 1) -> Ranker: ...


class RankerDescription(BaseModel):
    """`ranker.json`.

    Attributes:
        kind: Key of `RANKERS`.
        order: `BY_RANKER` if a model orders the candidates; else `fusion`, or the source that alone decides the order.
        reason: Why training chose this order; "" if it compared none.
        most_ranked: Number of candidates of a query that are ranked, the first of the retrieval order; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str = LEGACY_KIND
    order: str = BY_RANKER
    reason: str = ""
    most_ranked: PositiveInt | None = None


def write_description(directory: Path, description: RankerDescription) -> None:
    """Writes `ranker.json` into a ranker's folder.

    Raises:
        KeyError: `open_ranker` does not know the kind.
    """
    _ = RANKERS[description.kind]
    write_json(directory / RANKER_FILE, description.model_dump(mode="json"))


def read_description(directory: Path) -> RankerDescription:
    """Reads `ranker.json`; folders from before there were kinds have none.

    Raises:
        BundleError: The file is damaged, names no kind, or has an impossible number.
    """
    path = directory / RANKER_FILE
    if not path.is_file():
        return RankerDescription()
    try:
        content: Any = read_json(path)
        return RankerDescription.model_validate({**content, "kind": content["kind"]})
    except ValidationError as error:
        fault = error.errors()[0]
        name, reason = ".".join(map(str, fault["loc"])), fault["msg"]
        raise BundleError(f"{path} cannot be read, train again: {name}: {reason}.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} does not name the kind of the ranker: {error}.") from error


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
    kind = read_description(directory).kind
    if kind not in RANKERS:
        raise BundleError(
            f"The ranker in {directory} has the kind {kind!r}, this code opens {', '.join(RANKERS)}: serve it with "
            "the code that made it."
        )
    module, name = RANKERS[kind]
    loader = cast(_Loader, getattr(importlib.import_module(module), name))
    return loader.load(directory, num_threads=num_threads)

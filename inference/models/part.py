"""Parts: the data of sources, fitted in training, saved in a bundle, and loaded by the servers.

A part has the same file names in training's output folder and in a bundle, so a release copies the files. A source
names its parts. `Artifacts`, the bundle and the index build handle all parts in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import IntArray, TimeArray


class PositiveEvents(Protocol):
    """The positive events of a log, in order of time; parts are fitted from them.

    Attributes:
        users, sessions: Codes [n].
        rows: Item rows [n].
        times: Unix seconds [n].
        grades: Objective grades [n]; 1 is the weakest.
        countries: Country of the event, else of its user, "" if unknown [n].
    """

    @property
    def users(self) -> IntArray: ...
    @property
    def sessions(self) -> npt.NDArray[np.int64]: ...
    @property
    def rows(self) -> IntArray: ...
    @property
    def times(self) -> TimeArray: ...
    @property
    def grades(self) -> npt.NDArray[np.int8]: ...
    @property
    def countries(self) -> npt.NDArray[np.object_]: ...


class Part(Protocol):
    """Data of one or several sources, aligned with the row map.

    Attributes:
        paths: Files or folders of the part within a bundle; either all or none exist.
        required: Whether every bundle has the part.
    """

    paths: ClassVar[tuple[str, ...]]
    required: ClassVar[bool] = True

    @property
    def num_items(self) -> int:
        """Size of the row map that the part was made for."""

    def save(self, folder: Path) -> None:
        """Writes `paths` below a folder."""

    @classmethod
    def load(cls, folder: Path, num_threads: int) -> Self:
        """Loads the part from a folder.

        Args:
            folder: Folder that contains all of `paths`.
            num_threads: Threads that one call of a model may use.

        Raises:
            BundleError: A file is missing or damaged.
        """

    @classmethod
    def fit_from(cls, events: PositiveEvents, num_items: int, as_of: float) -> Self | None:  # noqa: ARG003
        """Fits the part from the events before a time; returns None for parts that a separate training step fits.

        Args:
            events: All positive events.
            num_items: Size of the row map.
            as_of: Unix seconds; later events, and events at this time, are excluded.
        """
        return None

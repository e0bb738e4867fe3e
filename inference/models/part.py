"""The data of sources: fitted in training, saved in a bundle, loaded by the servers.

A part is saved under the same names in the folder that training fits it in and in a bundle, so a release copies the
files. A source names its parts; `Artifacts`, the bundle and the index build handle them without knowing them.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import IntArray, TimeArray


class PositiveEvents(Protocol):
    """The positive events of a log, in order of time: what parts are fitted from.

    Attributes:
        users, sessions: Codes [n].
        rows: Item rows [n].
        times: Unix seconds [n].
        grades: Objective grades [n], 1 the weakest.
        countries: Country of the event, else of its user, "" where unknown [n].
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
    """Data of one or several sources, aligned to the row map.

    Attributes:
        paths: Its files or folders within a bundle; all of them are there, or none.
        required: Whether every bundle has it.
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
        """Opens what `save` wrote.

        Args:
            folder: Has all of `paths`.
            num_threads: Threads that one call of a model may use.

        Raises:
            BundleError: A file is missing or damaged.
        """

    @classmethod
    def fit_from(cls, events: PositiveEvents, num_items: int, as_of: float) -> Self | None:  # noqa: ARG003
        """The part fitted from the events before a time; None for parts that a training step of their own fits.

        Args:
            events: All positive events.
            num_items: Size of the row map.
            as_of: Unix seconds; events at or after are left out.
        """
        return None

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder has the part."""
        return all((folder / path).exists() for path in cls.paths)

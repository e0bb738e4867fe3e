"""The two towers for serving: the user tower, the item index and the item embeddings.

They form one part, because an index of other embeddings would find the wrong items without an error. Loading needs
faiss and onnxruntime, which the predictor does not have; so they are imported only when towers are loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import numpy as np

from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray, UserColumns
from inference.candidates.query import Query
from inference.models.part import Part

if TYPE_CHECKING:
    from inference.models.index import ItemIndex


class UserVectors(Protocol):
    """Encodes users as vectors (`models/encoder.py`)."""

    def encode(self, users: UserColumns, queries: Sequence[Query]) -> FloatArray:
        """Returns L2-normalised user vectors [q, d]."""


@dataclass(frozen=True)
class Towers(Part):
    """Both towers of a release.

    Attributes:
        encoder: The user tower.
        index: Finds the nearest items of a vector.
        embeddings: Item embeddings [m, d].
        directory: The folder from which the towers were loaded, None for towers made in memory.
    """

    encoder: UserVectors
    index: ItemIndex
    embeddings: FloatArray
    directory: Path | None = None

    paths: ClassVar[tuple[str, ...]] = ("towers", "index")
    required: ClassVar[bool] = False

    @property
    def num_items(self) -> int:
        """Size of the row map that the towers were made for."""
        return len(self.embeddings)

    def save(self, folder: Path) -> None:
        """Copies the folders from which the towers were loaded.

        Raises:
            BundleError: The towers were made in memory.
        """
        if self.directory is None:
            raise BundleError("Towers made in memory have no files to copy: write and load them first.")
        for path in self.paths:
            shutil.copytree(self.directory / path, folder / path)

    @classmethod
    def load(cls, folder: Path, num_threads: int) -> Self:
        """Loads `towers/` and `index/`.

        Raises:
            BundleError: A file is missing or damaged, or towers and index differ in size.
        """
        from inference.models.encoder import UserEncoder
        from inference.models.index import ItemIndex

        towers, index = (folder / path for path in cls.paths)
        encoder, opened = UserEncoder.load(towers, num_threads), ItemIndex.load(index)
        embeddings = np.asarray(encoder.item_embeddings)
        if len(opened) != len(embeddings):
            raise BundleError(
                f"The index in {folder} holds {len(opened)} items and the towers {len(embeddings)}: train again."
            )
        return cls(encoder, opened, embeddings, folder)

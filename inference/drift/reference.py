"""The drift reference of a bundle: counts and a sample of the slates of its recommender in a replay.

    reference/reference.json    every column's bins and, for each day of the replay, how many units fell into each
    reference/sample.parquet    rows of some replayed requests, with the columns of the impression log

The release step writes both files. The drift job reads the counts; the sample is kept for analyses by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from feature_repo.errors import BundleError
from feature_repo.storage.files import read_json, write_json, write_parquet
from inference.drift.bins import Bins
from inference.drift.watched import Counted

REFERENCE_FILE, SAMPLE_FILE = "reference.json", "sample.parquet"
FORMAT = 2


class ReferenceColumn(BaseModel):
    """The distribution of a column in the replay.

    Attributes:
        name: Name of the column, see `Watched`.
        bins: Bins of the column.
        counts: Units in each bin per day [days][bins]; empty if absent.
        absent: Why there is no distribution; "" if there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bins: Bins = Bins()
    counts: tuple[tuple[int, ...], ...] = ()
    absent: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.absent and (not self.counts or any(len(day) != len(self.bins) for day in self.counts)):
            raise ValueError(f"the counts of {self.name} do not fit its bins")
        return self

    @property
    def total(self) -> npt.NDArray[np.int64]:
        """Units in each bin over all days."""
        return np.asarray(np.sum(np.array(self.counts, dtype=np.int64), axis=0), dtype=np.int64)


class Reference(BaseModel):
    """Content of `reference.json`.

    Attributes:
        format: Version of the layout.
        feature_hash: Hash of the feature set.
        start, end: Span of the replayed queries, unix seconds: start <= time < end.
        num_requests: Number of replayed and ranked requests per day.
        num_rows: Number of items in the replayed slates.
        num_units: Kind of unit -> number of independent units.
        effective_requests: See `watched.effective_requests`.
        objectives: Objective -> event types that fulfil it, which define the labels of a log.
        columns: The columns of `watched`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    feature_hash: str
    start: float
    end: float
    num_requests: tuple[int, ...]
    num_rows: int
    num_units: dict[Counted, int]
    effective_requests: float
    objectives: dict[str, tuple[str, ...]]
    columns: tuple[ReferenceColumn, ...]

    def save(self, directory: Path, sample: pa.Table) -> None:
        """Writes the folder `reference/` of a bundle."""
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / REFERENCE_FILE, self.model_dump(mode="json"))
        write_parquet(directory / SAMPLE_FILE, sample)

    @property
    def requests_a_day(self) -> int:
        """Mean number of requests per day, over the days with requests."""
        return round(sum(self.num_requests) / max(1, sum(num > 0 for num in self.num_requests)))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads the file that `save` wrote.

        Raises:
            BundleError: The files are missing, damaged, or in a layout that this code does not support.
        """
        try:
            content: Any = read_json(directory / REFERENCE_FILE)
            layout = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
            if layout != FORMAT:  # the fields of another layout may differ
                raise BundleError(
                    f"The drift reference in {directory} has layout {layout}, this code reads {FORMAT}: train again."
                )
            return cls.model_validate(content)
        except FileNotFoundError as error:
            raise BundleError(
                f"{directory} holds no drift reference, as no request of the log's last days could be ranked: "
                "train again once there are requests of known users."
            ) from error
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise BundleError(f"The drift reference in {directory} cannot be read ({first}): train again.") from error

"""The drift reference of a bundle: what its recommender showed when it was replayed, as counts and a sample.

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
    """One column's distribution in the replay.

    Attributes:
        name: See `Watched`.
        bins: How it is cut.
        counts: Units in each bin, for each day [days][bins]; empty where absent.
        absent: Why there is no distribution, "" where there is.
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
    """`reference.json`.

    Attributes:
        format: Version of the layout.
        feature_hash: Of the feature set.
        start, end: Span of the queries that were replayed, unix seconds: start <= time < end.
        num_requests: Replayed and ranked, for each day.
        num_rows: Items they were shown.
        num_units: What is counted -> how many independent units of it there are.
        effective_requests: See `watched.effective_requests`.
        objectives: Objective -> event types that fulfil it: what makes labels of a log's events.
        columns: By `watched`.
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
        """Requests of an average day that has any."""
        return round(sum(self.num_requests) / max(1, sum(num > 0 for num in self.num_requests)))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            BundleError: It is not there, damaged, or of a layout this code does not know.
        """
        try:
            content: Any = read_json(directory / REFERENCE_FILE)
            layout = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
            if layout != FORMAT:  # whose fields need not be ours
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

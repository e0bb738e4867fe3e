"""Time of a request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.split import DAY
from feature_repo.features.groups.request_group import RequestContext, RequestGroup
from feature_repo.features.state import TimeArray


class ClockGroup(RequestGroup):
    """Hour and weekday, UTC."""

    columns = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")

    def compute(self, queries: Sequence[RequestContext]) -> dict[str, npt.NDArray[np.float64]]:
        return clock_features(np.array([query.time for query in queries], dtype=np.float64))


def clock_features(times: TimeArray) -> dict[str, npt.NDArray[np.float64]]:
    """Hour and weekday (UTC) of unix seconds [n] as sine and cosine, by name."""
    hour = (times % DAY) / DAY * (2 * np.pi)
    weekday = ((times // DAY + 3) % 7) / 7 * (2 * np.pi)  # 1970-01-01 was a Thursday, Monday is 0
    return {
        "hour_sin": np.sin(hour),
        "hour_cos": np.cos(hour),
        "weekday_sin": np.sin(weekday),
        "weekday_cos": np.cos(weekday),
    }

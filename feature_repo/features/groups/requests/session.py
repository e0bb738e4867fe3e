"""State of the user's session at the time of a request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.features.groups.request_group import RequestContext, RequestGroup


class SessionGroup(RequestGroup):
    """Number of events of the session so far, NaN if the client does not send it."""

    columns = ("session_length",)

    def compute(self, queries: Sequence[RequestContext]) -> dict[str, npt.NDArray[np.float64]]:
        lengths = [np.nan if query.session_length is None else query.session_length for query in queries]
        return {"session_length": np.array(lengths, dtype=np.float64)}

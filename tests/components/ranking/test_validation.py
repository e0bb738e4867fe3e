"""Rows and judged queries of one walk are those of a walk each."""

from __future__ import annotations

import numpy as np
import pytest

from components.ranking.build import RowSampling, build_rows
from components.ranking.judging import judge_groups
from components.ranking.validation import build_and_judge
from components.replay.groups import Groups
from components.replay.replay import Replay
from tests.components.ranking.test_build import CUTS, Watched, make_groups
from tests.components.ranking.test_judging import candidates
from tests.kit import world

SAMPLING = RowSampling(negatives=5, seed=3)


def groups_of(num: int) -> Groups:
    """Groups of known users; every fourth one liked nothing."""
    queries = [world.query(f"u{number}") for number in range(num)]
    return make_groups(
        [(query, {int(candidates(query)[0]): int(place % 4 > 0)}) for place, query in enumerate(queries)]
    )


def replay() -> Replay:
    made = world.artifacts()
    return Replay(made, Watched(world.Store(made.feature_set)), CUTS)


@pytest.mark.parametrize("limit", [100, 6])
def test_one_walk_gives_what_two_walks_give(limit: int) -> None:
    groups = groups_of(24)
    rows, judged = build_and_judge(groups, replay(), SAMPLING, limit=limit, what="both")
    alone = build_rows(groups, replay(), SAMPLING, what="rows")
    asked = judge_groups(groups, replay(), limit=limit, seed=SAMPLING.seed, what="judged")
    for first, second in ((rows, alone), (judged, asked)):
        for name in first.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert len(judged) == min(limit, 18)

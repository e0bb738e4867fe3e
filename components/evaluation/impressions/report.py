"""All that an evaluation measures on impressions of the test span, as content of `evaluation.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.evaluation.impressions.calibration import calibration
from components.evaluation.impressions.metrics import Judged, judge, roc
from components.evaluation.impressions.policy_value import FEWEST_EFFECTIVE, estimate_value
from components.evaluation.impressions.positions import FEWEST_CLICKS, PositionCurve, estimate_positions
from components.evaluation.impressions.scoring import score_impressions
from components.evaluation.impressions.slates import LoggedSlates
from components.replay.cutoff import Cutoff
from components.replay.groups import read_groups
from feature_repo.dataset.tables import PreparedTables
from inference.feature_store.historical import HistoricalFeatures
from inference.scorers.protocol import Ranker

MOST_SLATES = 20_000  # for the position curve, from the whole log
Curve = tuple[list[float], list[float], list[float]]


@dataclass(frozen=True, slots=True)
class ImpressionReport:
    """What impressions say about the ranker.

    Attributes:
        content: `impressions` (figures of `judge`), `calibration`, `positions` and `policy_value`; all are empty
            without impressions or ranker. The last two are {"absent": reason} where the log has no evidence for them.
        curve: ROC of the first objective: false and true positive rates, thresholds.
    """

    content: dict[str, Any] = field(
        default_factory=lambda: {"impressions": {}, "calibration": {}, "positions": {}, "policy_value": {}}
    )
    curve: Curve = ([], [], [])


def report_impressions(
    tables: PreparedTables, cutoff: Cutoff, ranker: Ranker | None, *, seed: int = 0
) -> ImpressionReport:
    """Measures the ranker on impressions.

    Args:
        tables: Clean prepared tables, or the output of `leave_one_out`, which has no impressions in a test span.
        cutoff: Cutoff `test`.
        ranker: The ranker; without a ranker there is nothing to judge.
        seed: Seed of the sample of impressions.
    """
    if ranker is None or tables.holds_out:
        return ImpressionReport()
    with HistoricalFeatures(cutoff.features_dir) as reader:
        judged = score_impressions(tables, cutoff, reader, ranker, seed=seed)
    if judged is None:
        return ImpressionReport()
    curve = _positions(tables, seed)
    content = {
        "impressions": judge(judged),
        "calibration": calibration(judged, tables.objectives),
        "positions": {"absent": curve} if isinstance(curve, str) else curve.content(),
        "policy_value": _policy_value(judged, curve, seed),
    }
    return ImpressionReport(content, roc(judged.labels[:, 0], judged.probabilities[:, 0]))


def _positions(tables: PreparedTables, seed: int) -> PositionCurve | str:
    """The position curve of the whole log, or the reason why it is absent."""
    if not tables.has_positions:
        return "the log has no positions"
    if tables.read("impressions", ["propensity"])["propensity"].null_count == tables.num_rows["impressions"]:
        return "the log has no propensities"
    split = tables.split
    groups = read_groups(tables, split.log_start, split.stamp(split.log_end), limit=MOST_SLATES, seed=seed)
    curve = estimate_positions(LoggedSlates.of(groups), seed=seed)
    return curve or f"fewer than two positions of slates drawn at random have {FEWEST_CLICKS} clicks"


def _policy_value(judged: Judged, curve: PositionCurve | str, seed: int) -> dict[str, Any]:
    """The value of the ranker's order of the slates of the test span, or the reason why it is absent."""
    if isinstance(curve, str):
        return {"absent": curve}
    value = estimate_value(
        LoggedSlates.judged(judged), judged.scores, judged.probabilities[:, 0], curve.examination, seed=seed
    )
    if value is None:
        return {"absent": f"the slates of the test span have fewer than {FEWEST_EFFECTIVE} effective impressions"}
    return value.content()

"""The parts of `evaluation.json` that are not figures of methods: the gate, other protocols, time scales, models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from components.evaluation.evaluate import finite
from components.evaluation.gate.challenge import taken_from_slates
from components.evaluation.gate.gate import GateDecision
from components.evaluation.measurement import Measurement
from components.evaluation.protocols.plans import Plans
from components.evaluation.reports.gallery import gallery
from components.replay.cutoff import Cutoff
from components.replay.horizon import Horizon
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.files import read_json
from inference.models.encoder import TOWERS_FILE
from inference.scorers.ranker import IMPORTANCE_FILE


def about(
    tables: PreparedTables, cutoff: Cutoff, plans: Plans, measured: Measurement, decision: GateDecision | None
) -> dict[str, Any]:
    """The content next to the figures of the deciding protocol.

    Args:
        tables: The evaluated tables.
        cutoff: Cutoff `test` with its ranker.
        plans: The measured protocols.
        measured: Their results.
        decision: The gate's decision; None if the gate was not asked.
    """
    fitted = measured.fitted
    content: dict[str, Any] = {
        "dataset": plans.deciding.setting.dataset,
        "protocol": plans.deciding.protocol,
        "deciding": plans.reason,
        "settings": {name: baseline.config.model_dump() for name, baseline in fitted.items()},
        "from_slates": _share_from_slates(tables, plans),
        "time_scales": _time_scales(tables, cutoff),
        "models": _models(cutoff),
        "gallery": gallery(
            measured.results[0], plans.deciding.log, tables, measured.answers, cutoff.feature_set.sources
        ),
        "others": {
            plan.protocol: result.summary() for plan, result in zip(plans.others, measured.results[1:], strict=True)
        },
    }
    return content if decision is None else content | {"gate": _gate_content(decision)}


def _share_from_slates(tables: PreparedTables, plans: Plans) -> float:
    """Share of the relevant items of the test span that users chose from slates of an earlier release.

    Only the temporal protocol measures it: the tables of leave-one-out hold no slates, and requests answer slates.
    """
    temporal = next((plan for plan in plans.all if plan.protocol == "temporal"), None)
    if temporal is None:
        return 0.0
    test = temporal.tasks.test
    caused = taken_from_slates(tables, temporal.log, temporal.setting.test_start).take(test.users)
    right = len(test.relevant.rows)
    return 1 - len(test.relevant.without(caused).rows) / right if right else 0.0


def _time_scales(tables: PreparedTables, cutoff: Cutoff) -> dict[str, Any]:
    """What was measured of the log's times, and what was chosen from it; seconds, windows in hours."""
    split = tables.split
    return tables.time_scales.model_dump() | {
        "item_step": split.step,
        "user_step": split.user_step,
        "item_windows": list(cutoff.feature_set.item_windows),
        "popular_half_life": float(cutoff.description["half_life_days"]) * DAY,
        "ranker_horizon": Horizon.of(split).seconds,
    }


def _models(cutoff: Cutoff) -> dict[str, Any]:
    """What each source found on the validation span, the epochs of the towers, and the gains of the trees' features."""
    found: dict[str, Any] = {"sources": cutoff.description.get("sources", {})}
    if cutoff.towers_dir is not None:
        found["curve"] = read_json(cutoff.towers_dir / TOWERS_FILE)["curve"]
    if cutoff.ranker_dir is not None and (cutoff.ranker_dir / IMPORTANCE_FILE).exists():
        found["importance"] = read_json(cutoff.ranker_dir / IMPORTANCE_FILE)
    return found


def _gate_content(decision: GateDecision) -> dict[str, Any]:
    content: dict[str, Any] = finite(
        {
            "release": decision.release,
            "passed": decision.passed,
            "evidence": decision.evidence,
            "reasons": list(decision.reasons),
            "sentence": decision.sentence,
            "order": decision.order,
            "order_reason": decision.order_reason,
            "differences": {name: asdict(gap) for name, gap in decision.differences.items()},
        }
    )
    return content

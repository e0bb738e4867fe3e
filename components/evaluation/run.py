"""Runs the whole evaluation: baselines, the recommender, impressions, the gate, and all output files.

The gate decides about the release, and the release step carries the decision out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluation.baselines.method import Method
from components.evaluation.evaluate import EvaluationResult, evaluate, finite, write_evaluation
from components.evaluation.funnel import Answers, ask, ask_replayed, queries_of
from components.evaluation.gate.challenge import compare, taken_from_slates
from components.evaluation.gate.gate import GateDecision, Mode, decide
from components.evaluation.impressions.metrics import judge, roc
from components.evaluation.impressions.scoring import score_impressions
from components.evaluation.protocols.log import MICROSECONDS
from components.evaluation.protocols.plan import Plan
from components.evaluation.reports.gallery import gallery
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.text import markdown, text_table
from components.evaluation.search import Absent, FittedBaseline, fit_baselines
from components.evaluation.slices import countries_of
from components.replay.cutoff import Cutoff
from components.replay.horizon import Horizon
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.files import atomic_write, read_json, write_text
from inference.bundles.bundle import Bundle
from inference.feature_store.historical import HistoricalFeatures
from inference.models.encoder import TOWERS_FILE
from inference.scorers.local import LocalScorer
from inference.scorers.protocol import Ranker
from inference.scorers.ranker import IMPORTANCE_FILE, open_ranker, read_description

REPORT_FILE, SUMMARY_FILE, TABLE_FILE = "report.html", "report.md", "table.txt"
NUM_THREADS = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a run's evaluation.

    Attributes:
        content: Content of evaluation.json.
        result: Lists and figures behind the content.
        decision: The gate's decision; None under leave-one-out, which is not used for releases.
        curve: ROC of the first objective on impressions: false and true positive rates, thresholds; empty without
            impressions or ranker.
    """

    content: Mapping[str, Any]
    result: EvaluationResult
    decision: GateDecision | None
    curve: tuple[list[float], list[float], list[float]]


def evaluate_funnel(
    tables_dir: Path,
    features_dir: Path,
    cutoff_dir: Path,
    ranker_dir: Path | None,
    out_dir: Path,
    *,
    served: Bundle | None = None,
    mode: Mode = "refuse",
    rolling: bool = False,
    recipe: str = "fast",
    seed: int = 0,
) -> Evaluation:
    """Measures the recommender and the baselines, and asks the gate for a decision.

    Args:
        tables_dir: Clean prepared tables, or the output of `leave_one_out`.
        features_dir: Features of the tables.
        cutoff_dir: Cutoff `test`: retrieval as of the test start.
        ranker_dir: The ranker; None measures only the retrieval order.
        out_dir: Receives evaluation.json, evaluation/lists.parquet, and the reports in evaluation/.
        served: The bundle currently served for this dataset; None if no bundle is served.
        mode: `warn` releases a refused bundle with a mark; `measure` for evaluations without a release.
        rolling: Whether to ask the requests of the test span at their own times; nothing can be released then.
        recipe: fast or best, the extent of the search for the baselines.
        seed: Seed of all random choices.
    """
    clock = _Clock()
    tables, cutoff = PreparedTables.open(tables_dir), Cutoff(cutoff_dir, features_dir, ranker_dir)
    plan = Plan.open(tables, rolling=rolling, seed=seed)
    ranker = None if ranker_dir is None else open_ranker(ranker_dir, NUM_THREADS)
    clock.lap("queries")
    baselines = fit_baselines(plan.validation, plan.validation_task, plan.test, recipe=recipe)
    fitted = {name: baseline for name, baseline in baselines.items() if isinstance(baseline, FittedBaseline)}
    clock.lap("baselines")
    methods: dict[str, Method | Absent] = {
        name: baseline if isinstance(baseline, Absent) else baseline.method for name, baseline in baselines.items()
    }
    answers = _answers(tables, plan, cutoff, ranker)
    methods["retrieval"], methods["funnel"] = answers.retrieval, answers.final
    clock.lap("recommender")
    setting = plan.setting
    known = setting.log.before(setting.test_start)
    countries = countries_of(tables, plan.log.user_ids)
    result = evaluate(
        plan.log, plan.tasks, methods, known=known, categories=setting.categories, countries=countries, seed=seed
    )
    clock.lap("metrics")
    impressions, curve = _impressions(tables, cutoff, ranker, seed)
    clock.lap("impressions")
    decision: GateDecision | None = None
    if plan.protocol == "temporal":
        description = None if ranker_dir is None else read_description(ranker_dir)
        paired = None if served is None else compare(served, setting, tables_dir, cutoff, ranker)
        decision = decide(result.scores, served=paired, mode=mode, seed=seed, ranker=description, first=served is None)
    about: dict[str, Any] = {
        "dataset": setting.dataset,
        "protocol": plan.protocol,
        "recipe": recipe,
        "seconds": {**{name: round(one.seconds, 2) for name, one in fitted.items()}, **clock.seconds()},
        "settings": {name: baseline.config.model_dump() for name, baseline in fitted.items()},
        "impressions": impressions,
        "from_slates": _share_from_slates(tables, plan),
        "time_scales": _time_scales(tables, cutoff),
        "models": _models(cutoff),
        "gallery": gallery(result, plan.log, tables, answers, cutoff.feature_set.sources),
    }
    if decision is not None:
        about["gate"] = _gate_content(decision)
    content = write_evaluation(out_dir, result, about)
    write_reports(out_dir / "evaluation", content, decision)
    return Evaluation(content, result, decision, curve)


class _Clock:
    """Seconds of the parts of a piece of work."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._started = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends a part."""
        now = time.perf_counter()
        self._laps[name], self._last = now - self._last, now

    def seconds(self) -> dict[str, float]:
        """Name -> seconds of each part, and `total` up to now."""
        laps = {**self._laps, "total": time.perf_counter() - self._started}
        return {name: round(value, 2) for name, value in laps.items()}


def write_reports(folder: Path, content: Mapping[str, Any], decision: GateDecision | None) -> None:
    """Writes the HTML page, the Markdown summary and the text table."""
    write_text(folder / REPORT_FILE, evaluation_page(content, decision))
    write_text(folder / SUMMARY_FILE, markdown(content, decision))
    write_text(folder / TABLE_FILE, text_table(content, decision) + "\n")


def _answers(tables: PreparedTables, plan: Plan, cutoff: Cutoff, ranker: Ranker | None) -> Answers:
    """The recommender's answers for all users of the tasks, warm and cold."""
    tasks = plan.tasks
    scorer = None if ranker is None else LocalScorer(ranker)
    asked = [tasks.test.users, tasks.cold_users.users]
    if tasks.new_items is not None:
        asked.append(tasks.new_items.users)
    users = np.unique(np.concatenate(asked))
    with HistoricalFeatures(cutoff.features_dir) as reader:
        if plan.requests is not None:
            cuts = plan.requests.cuts / MICROSECONDS
            replay = Replay.of(tables, cutoff, reader, cuts, RenewalPolicy(neighbours=True), scorer)
            return ask_replayed(replay, plan.log, users, [plan.requests.queries[user] for user in users])
        if plan.protocol == "leave-one-out":
            replay = Replay.of(tables, cutoff, reader, tables.split.cuts(), RenewalPolicy(), scorer)
            queries = queries_of(plan.log, tasks.test.users, tasks.test.times / MICROSECONDS)
            return ask_replayed(replay, plan.log, tasks.test.users, queries)
        start = tables.split.test_start
        replay = Replay(cutoff.artifacts(reader.items(start)), reader, np.array([start]), scorer)
        return ask(replay.recommender(start), plan.log, users, start)


def _share_from_slates(tables: PreparedTables, plan: Plan) -> float:
    """Share of the relevant items of the test span that users chose from slates of an earlier release.

    Only the temporal protocol measures it: the tables of leave-one-out hold no slates, and requests answer slates.
    """
    if plan.protocol != "temporal":
        return 0.0
    test = plan.tasks.test
    caused = taken_from_slates(tables, plan.log, plan.setting.test_start).take(test.users)
    right = len(test.relevant.rows)
    return 1 - len(test.relevant.without(caused).rows) / right if right else 0.0


def _impressions(
    tables: PreparedTables, cutoff: Cutoff, ranker: Ranker | None, seed: int
) -> tuple[dict[str, float], tuple[list[float], list[float], list[float]]]:
    """Figures on impressions and the ROC curve; empty without a ranker or impressions in a test span."""
    if ranker is None or tables.holds_out:
        return {}, ([], [], [])
    with HistoricalFeatures(cutoff.features_dir) as reader:
        judged = score_impressions(tables, cutoff, reader, ranker, seed=seed)
    if judged is None:
        return {}, ([], [], [])
    return judge(judged), roc(judged.labels, judged.probabilities)


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


def publish(evaluation_dir: Path, folder: Path | None) -> None:
    """Prints the table of an evaluation and copies its reports.

    Args:
        evaluation_dir: Output directory of `evaluate_funnel`.
        folder: Receives metrics.json (evaluation.json), report.html, report.md and lists.parquet; None copies nothing.
    """
    written = evaluation_dir / "evaluation"
    print((written / TABLE_FILE).read_text(encoding="utf-8"), flush=True)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "metrics.json", (evaluation_dir / "evaluation.json").read_text(encoding="utf-8"))
    for name in (REPORT_FILE, SUMMARY_FILE):
        write_text(folder / name, (written / name).read_text(encoding="utf-8"))
    with atomic_write(folder / "lists.parquet") as path:
        shutil.copyfile(written / "lists.parquet", path)

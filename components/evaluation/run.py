"""Runs the whole evaluation: baselines, the recommender, impressions, the gate, and all output files.

The gate decides about the release, and the release step carries the decision out.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluation.content import about
from components.evaluation.evaluate import EvaluationResult, write_evaluation
from components.evaluation.gate.challenge import compare
from components.evaluation.gate.gate import GateDecision, Mode, decide
from components.evaluation.impressions.report import Curve, report_impressions
from components.evaluation.measurement import Measurement, Stopwatch, measure
from components.evaluation.protocols.plan import Protocol
from components.evaluation.protocols.plans import Plans
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.text import markdown, text_table
from components.replay.cutoff import Cutoff
from feature_repo.dataset.tables import PreparedTables
from feature_repo.progress import say
from feature_repo.storage.files import atomic_write, write_parquet, write_text
from inference.bundles.bundle import Bundle
from inference.scorers.protocol import Ranker
from inference.scorers.ranker import open_ranker, read_description

REPORT_FILE, SUMMARY_FILE, TABLE_FILE = "report.html", "report.md", "table.txt"
NUM_THREADS = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a run's evaluation.

    Attributes:
        content: Content of evaluation.json.
        result: Lists and figures of the deciding protocol.
        decision: The gate's decision; None under leave-one-out, which is not used for releases.
        curve: ROC of the first objective on impressions: false and true positive rates, thresholds; empty without
            impressions or ranker.
    """

    content: Mapping[str, Any]
    result: EvaluationResult
    decision: GateDecision | None
    curve: Curve

    @property
    def sentence(self) -> str:
        """The gate's sentence; "" if the gate was not asked."""
        return "" if self.decision is None else self.decision.sentence

    def numbers(self) -> dict[str, float]:
        """Every figure of the deciding protocol as "method metric" -> value."""
        return {
            f"{method} {name}": value
            for method, figures in self.content["methods"].items()
            for name, value in figures.items()
            if isinstance(value, float)
        }


def evaluate_funnel(
    tables_dir: Path,
    features_dir: Path,
    cutoff_dir: Path,
    ranker_dir: Path | None,
    out_dir: Path,
    *,
    served: Bundle | None = None,
    mode: Mode = "refuse",
    protocol: Protocol | None = None,
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
        protocol: The only protocol to measure; None for those of a training, see `Plans`.
        recipe: fast or best, the extent of the search for the baselines.
        seed: Seed of all random choices.
    """
    watch = Stopwatch()
    tables, cutoff = PreparedTables.open(tables_dir), Cutoff(cutoff_dir, features_dir, ranker_dir)
    ranker = None if ranker_dir is None else open_ranker(ranker_dir, NUM_THREADS)
    plans = Plans.open(tables, protocol, seed=seed)
    say(f"protocol: {plans.reason or plans.deciding.protocol}")
    watch.lap("queries")
    measured = measure(tables, cutoff, ranker, plans, watch, recipe=recipe, seed=seed)
    on_impressions = report_impressions(tables, cutoff, ranker, seed=seed)
    watch.lap("impressions")
    decision = _decide(tables_dir, cutoff, ranker, plans, measured, served, mode, seed)
    watch.lap("gate")
    known = about(tables, cutoff, plans, measured, decision)
    searched = {name: round(baseline.seconds, 2) for name, baseline in measured.fitted.items()}
    known |= {"recipe": recipe, **on_impressions.content, "seconds": searched | watch.seconds()}
    result, *others = measured.results
    content = write_evaluation(out_dir, result, known)
    for plan, other in zip(plans.others, others, strict=True):
        write_parquet(out_dir / "evaluation" / f"lists-{plan.protocol}.parquet", other.lists())
    write_reports(out_dir / "evaluation", content, decision)
    return Evaluation(content, result, decision, on_impressions.curve)


def _decide(
    tables_dir: Path,
    cutoff: Cutoff,
    ranker: Ranker | None,
    plans: Plans,
    measured: Measurement,
    served: Bundle | None,
    mode: Mode,
    seed: int,
) -> GateDecision | None:
    """The gate's decision on the deciding protocol; None under leave-one-out."""
    plan = plans.deciding
    if plan.protocol == "leave-one-out":
        return None
    return decide(
        measured.results[0].scores,
        served=None if served is None else compare(served, plan.setting, tables_dir, cutoff, ranker),
        mode=mode,
        seed=seed,
        ranker=None if cutoff.ranker_dir is None else read_description(cutoff.ranker_dir),
        first=served is None,
        protocol=plan.protocol,
    )


def copy_reports(evaluation_dir: Path, page: Path, summary: Path) -> None:
    """Copies the HTML page and the Markdown summary of an evaluation to the outputs of its step."""
    shutil.copyfile(evaluation_dir / "evaluation" / REPORT_FILE, page)
    shutil.copyfile(evaluation_dir / "evaluation" / SUMMARY_FILE, summary)


def write_reports(folder: Path, content: Mapping[str, Any], decision: GateDecision | None) -> None:
    """Writes the HTML page, the Markdown summary and the text table."""
    write_text(folder / REPORT_FILE, evaluation_page(content, decision))
    write_text(folder / SUMMARY_FILE, markdown(content, decision))
    write_text(folder / TABLE_FILE, text_table(content, decision) + "\n")


def publish(evaluation_dir: Path, folder: Path | None) -> None:
    """Prints the table of an evaluation and copies its reports.

    Args:
        evaluation_dir: Output directory of `evaluate_funnel`.
        folder: Receives metrics.json (evaluation.json), report.html, report.md and the lists; None copies nothing.
    """
    written = evaluation_dir / "evaluation"
    print((written / TABLE_FILE).read_text(encoding="utf-8"), flush=True)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "metrics.json", (evaluation_dir / "evaluation.json").read_text(encoding="utf-8"))
    for name in (REPORT_FILE, SUMMARY_FILE):
        write_text(folder / name, (written / name).read_text(encoding="utf-8"))
    for lists in written.glob("lists*.parquet"):
        with atomic_write(folder / lists.name) as path:
            shutil.copyfile(lists, path)

"""The steps that training and evaluation share: towers, cutoffs and ranker of clean tables. Wiring only."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.index.component import build_stage_op
from components.ranking.component import train_ranker_op
from components.retrieval.component import fit_towers_op

# Waiting OpenMP threads spin by default. On busy cores a fit with two threads then takes four times as long (LightGBM,
# 250,000 rows: 46 s; 11 s with sleeping threads; 14 s with one thread).
STEP_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class FittedModels:
    """Output channels of the fitting steps.

    Attributes:
        towers: Towers of the measured cutoff.
        cutoff: Artifacts of the measured cutoff.
        ranker: The trained ranker.
    """

    towers: Any
    cutoff: Any
    ranker: Any


def fit(
    tables: Any,
    features: Any,
    ranker_rows: Any,
    recipe: Any,
    seed: Any,
    code_version: Any,
    measured: str = "test",
    log: Any = "",
    early_tables: Any = None,
    late_tables: Any = None,
) -> FittedModels:
    """Wires the fitting steps of one run.

    Args:
        tables: Clean prepared tables.
        features: Features of these tables.
        ranker_rows: Upper bound on the training rows of the ranker.
        recipe: fast or best.
        seed: Seed of all random choices.
        code_version: Version of the code; a cache key.
        measured: Cutoff whose models are measured; `validation` if models must not be fitted on validation items.
        log: The served log that the tables were ingested with, "" for none.
        early_tables: Tables that the models of the ranker's training rows are fitted on; None for `tables`.
        late_tables: Tables that the measured models are fitted on; None for `tables`.
    """
    both = {"tables": tables, "features": features}
    of_early = {"tables": tables if early_tables is None else early_tables, "features": features}
    of_late = {"tables": tables if late_tables is None else late_tables, "features": features}
    keys = {"recipe": recipe, "seed": seed, "code_version": code_version}
    early = sized(fit_towers_op(**of_early, stage="rank", **keys), memory="4G")
    further = fit_towers_op(**of_late, before=early.outputs["towers"], stage=measured, **keys)
    late = sized(further, memory="4G")
    first = build_stage_op(**of_early, towers=early.outputs["towers"], stage="rank", code_version=code_version)
    rank = sized(first, memory="2G").outputs["built"]
    later = build_stage_op(
        **of_late, towers=late.outputs["towers"], earlier=rank, stage=measured, code_version=code_version
    )
    ranker = train_ranker_op(**both, stage=rank, max_rows=ranker_rows, log=log, **keys)
    return FittedModels(
        towers=late.outputs["towers"],
        cutoff=sized(later, memory="2G").outputs["built"],
        ranker=sized(ranker, memory="4G").outputs["ranker"],
    )


def sized(task: dsl.PipelineTask, *, memory: str, cpu: int = 2) -> dsl.PipelineTask:
    """Sets resources and environment of a task that works; it must be safe to run twice.

    The limits are twice the requests. Libraries start `cpu` threads: they would count the cores of the node, and the
    limit would slow too many threads down.
    """
    _limited(task, int(memory[:-1]), memory[-1], cpu_request=str(cpu), cpu_limit=str(2 * cpu))
    for name, value in {**STEP_ENVIRONMENT, "OMP_NUM_THREADS": str(cpu)}.items():
        task.set_env_variable(name, value)
    return task


def light(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Sets resources of a gate, which reads a report."""
    _limited(task, 512, "M", cpu_request="250m", cpu_limit="1")
    return task.set_env_variable("OMP_NUM_THREADS", "1")


def _limited(task: dsl.PipelineTask, amount: int, unit: str, *, cpu_request: str, cpu_limit: str) -> None:
    task.set_cpu_request(cpu_request).set_cpu_limit(cpu_limit)
    task.set_memory_request(f"{amount}{unit}").set_memory_limit(f"{2 * amount}{unit}")

"""What training and evaluation share: towers, cutoffs and ranker of clean tables. Wiring only."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.index.component import build_stage_op
from components.ranking.component import train_ranker_op
from components.retrieval.component import fit_towers_op

# OpenMP threads that wait for each other spin by default; where others want the cores, a fit with two threads takes
# four times as long (LightGBM, 250,000 rows: 46 s, 11 s with waiting threads asleep, 14 s with one thread).
STEP_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class FittedModels:
    """Channels of what was fitted.

    Attributes:
        epochs: Epochs that early stopping found.
        towers: Towers of the measured cutoff.
        cutoff: The measured cutoff.
        ranker: The ranker.
    """

    epochs: Any
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
) -> FittedModels:
    """Wire the fitting steps of one run.

    Args:
        tables: Clean prepared tables.
        features: Their features.
        ranker_rows: Bound on the ranker's rows.
        recipe: fast or best.
        seed: Of every random choice.
        code_version: A cache key.
        measured: Cutoff whose models are measured; `validation` where validation items must not be fitted on.
        log: The served log that the tables were ingested with, "" for none.
    """
    both = {"tables": tables, "features": features}
    keys = {"recipe": recipe, "seed": seed, "code_version": code_version}
    early = sized(fit_towers_op(**both, stage="rank", epochs=0, **keys), memory="4G")
    late = sized(fit_towers_op(**both, stage=measured, epochs=early.outputs["epochs"], **keys), memory="4G")
    cutoffs = {
        name: sized(build_stage_op(**both, towers=towers, stage=name, code_version=code_version), memory="2G")
        for name, towers in (("rank", early.outputs["towers"]), (measured, late.outputs["towers"]))
    }
    ranker = train_ranker_op(**both, stage=cutoffs["rank"].outputs["built"], max_rows=ranker_rows, log=log, **keys)
    return FittedModels(
        epochs=early.outputs["epochs"],
        towers=late.outputs["towers"],
        cutoff=cutoffs[measured].outputs["built"],
        ranker=sized(ranker, memory="4G").outputs["ranker"],
    )


def sized(task: dsl.PipelineTask, *, memory: str, cpu: str = "2") -> dsl.PipelineTask:
    """The task with what its pod asks for; limits are twice the memory."""
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(f"{2 * int(memory[:-1])}G")
    for name, value in STEP_ENVIRONMENT.items():
        task.set_env_variable(name, value)
    return task

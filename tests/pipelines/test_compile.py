"""The compiled pipelines: what a cluster reads is what runs locally, with caching and resources set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from pipelines.compile import PIPELINES, compile_all
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.launcher import GATES
from pipelines.settings import ClusterSettings

UNCACHED = {"require-quality-op", "require-schema-op", "publish-report-op", "release-op", "refuse-op"}
KEYS = {"fingerprint", "code_version"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return {path.stem: path for path in compile_all(tmp_path_factory.mktemp("pipelines") / "new", ClusterSettings())}


def tasks(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Component name and task of everything that runs, within conditions too."""
    dags = [spec["root"]["dag"], *(one["dag"] for one in spec["components"].values() if "dag" in one)]
    for dag in dags:
        for task in dag["tasks"].values():
            component = spec["components"][task["componentRef"]["name"]]
            if "executorLabel" in component:
                name = task["componentRef"]["name"].removeprefix("comp-")
                yield name.rstrip("-0123456789"), task


def read(path: Path) -> Mapping[str, Any]:
    return next(yaml.safe_load_all(path.read_text()))


def test_every_pipeline_reads_back(compiled: Mapping[str, Path]) -> None:
    assert set(compiled) == set(PIPELINES)
    for path in compiled.values():
        loaded = components.load_component_from_file(str(path))
        inputs = loaded.component_spec.inputs
        assert inputs is not None
        kept = any(task["cachingOptions"].get("enableCache") for _, task in tasks(read(path)))
        assert {"dataset", "code_version", *(KEYS if kept else ())} <= set(inputs)


def test_the_owners_parameters_are_the_pipelines(compiled: Mapping[str, Path]) -> None:
    inputs = read(compiled["training"])["root"]["inputDefinitions"]["parameters"]
    for name, value in TrainingParameters().model_dump().items():
        assert inputs[name]["defaultValue"] == value


def test_gates_and_releases_run_every_time_and_all_else_is_kept(compiled: Mapping[str, Path]) -> None:
    found = list(tasks(read(compiled["training"])))
    assert {name for name, _ in found} >= UNCACHED | {"ingest-dataset", "fit-towers-op", "evaluate-op"}
    for name, task in found:
        assert task["cachingOptions"].get("enableCache", False) == (name not in UNCACHED), name


def test_what_is_kept_is_kept_by_the_code_version(compiled: Mapping[str, Path]) -> None:
    for path in compiled.values():
        for name, task in tasks(read(path)):
            if task["cachingOptions"].get("enableCache"):
                assert "code_version" in task["inputs"]["parameters"], name


def test_drift_is_measured_and_answered_every_time(compiled: Mapping[str, Path]) -> None:
    found = list(tasks(read(compiled["drift"])))
    assert [name for name, _ in found] == ["answer-drift-op", "measure-drift-op"]
    assert not any(task["cachingOptions"].get("enableCache") for _, task in found)
    answer = found[0][1]
    assert answer["dependentTasks"] == ["measure-drift-op"]
    assert answer["inputs"]["artifacts"]["measured"]["taskOutputArtifact"]["producerTask"] == "measure-drift-op"


def test_the_gates_that_tell_a_refusal_are_steps_of_the_training(compiled: Mapping[str, Path]) -> None:
    assert {name for name, _ in tasks(read(compiled["training"]))} >= set(GATES)


def test_a_release_is_told_its_cause(compiled: Mapping[str, Path]) -> None:
    releases = [task for name, task in tasks(read(compiled["training"])) if name == "release-op"]
    assert len(releases) == 2
    for task in releases:
        assert task["inputs"]["parameters"]["cause"] == {"componentInputParameter": "pipelinechannel--cause"}


def test_the_ranker_learns_from_the_log_that_was_ingested(compiled: Mapping[str, Path]) -> None:
    found = dict(tasks(read(compiled["training"])))
    for name in ("ingest-dataset", "train-ranker-op"):
        assert found[name]["inputs"]["parameters"]["log"] == {"componentInputParameter": "log"}


def test_release_waits_for_the_gate(compiled: Mapping[str, Path]) -> None:
    spec = read(compiled["training"])
    conditions = dict(_conditions(spec, spec["root"]["dag"], ()))
    asked = "inputs.parameter_values['pipelinechannel--evaluate-op-release'] == 'yes'"
    refit = "inputs.parameter_values['pipelinechannel--refit'] == true"
    assert conditions["release-op"] == (asked, refit)
    assert conditions["release-op-2"] == (asked, f"!({refit})")
    assert conditions["refuse-op"] == (f"!({asked})",)
    assert conditions["evaluate-op"] == ()


def _conditions(
    spec: Mapping[str, Any], dag: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each task and the conditions it runs under, outermost first."""
    for name, task in dag["tasks"].items():
        condition = task.get("triggerPolicy", {}).get("condition")
        under = (*above, condition) if condition else above
        inner = spec["components"][task["componentRef"]["name"]].get("dag")
        if inner is None:
            yield name, under
        else:
            yield from _conditions(spec, inner, under)


def test_steps_ask_for_what_they_need(compiled: Mapping[str, Path]) -> None:
    for path in compiled.values():
        for label, executor in read(path)["deploymentSpec"]["executors"].items():
            asked = executor["container"]["resources"]
            for name in ("MemoryRequest", "MemoryLimit", "CpuRequest", "CpuLimit"):
                assert asked[f"resource{name}"], label


def test_heavy_steps_let_waiting_threads_sleep(compiled: Mapping[str, Path]) -> None:
    spec = read(compiled["training"])
    executors = spec["deploymentSpec"]["executors"]
    for name in ("exec-fit-towers-op", "exec-train-ranker-op", "exec-evaluate-op"):
        assert {"name": "OMP_WAIT_POLICY", "value": "PASSIVE"} in executors[name]["container"]["env"]

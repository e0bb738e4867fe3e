"""Runs a pipeline on this machine through kfp.local, from the definition that is also compiled for a cluster.

kfp's cache keeps the results of finished steps (keyed by arguments, component source, data fingerprint and code
version), so a stopped run resumes at the first unfinished step.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from kfp import local
from kfp.dsl.graph_component import GraphComponent

from components.retrieval.config import CHECKPOINTS_VARIABLE
from feature_repo.errors import RunFailed, Stopped, is_full_disk
from pipelines.definitions.fitting import STEP_ENVIRONMENT
from pipelines.local.console import RunConsole
from pipelines.settings import PipelineSettings

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("feature_repo", "inference", "components", "pipelines")
END_SECONDS = 5.0
LEAST_FREE_BYTES = 1 << 20  # less counts as a full disk


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A finished local run.

    Attributes:
        seconds: Wall seconds of each executed step (cached steps are absent).
        peak_bytes: Largest resident memory of the process of a step.
    """

    seconds: dict[str, float]
    peak_bytes: int


def code_version() -> str:
    """The version of the code: a hash of its sources, so that steps run again after an edit.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256()
    for folder in CODE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def run_pipeline(
    pipeline: GraphComponent,
    arguments: dict[str, object],
    settings: PipelineSettings,
    *,
    name: str,
    run_dir: Path,
    keep: bool = True,
) -> LocalRun:
    """Runs a pipeline to its end.

    Args:
        pipeline: Definition of the pipeline.
        arguments: Arguments of the pipeline, without `code_version`.
        settings: Settings of this process; they name the folder of artifacts and cache.
        name: Name of the dataset; its runs share a cache.
        run_dir: Folder that receives pipeline.log; it must exist.
        keep: Whether to keep artifacts and use the cache; if not, the artifacts are deleted after the run.

    Raises:
        RunFailed: A step failed; the message is its error sentence, or says how the step ended.
        Stopped: A person interrupted the run; no step keeps running.
    """
    root = settings.build / "pipeline" / name if keep else run_dir / "artifacts"
    root.mkdir(parents=True, exist_ok=True)
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root / "runs"),
        workspace_root=str(root / "workspace"),
        raise_on_error=True,
        enable_caching=keep,
        cache_root=str(root / "cache"),
    )
    os.environ["KUBEREC_VALIDATION_PYTHON"] = settings.validation_python
    os.environ[CHECKPOINTS_VARIABLE] = settings.checkpoints or str(root / "checkpoints")
    for name_of, value in STEP_ENVIRONMENT.items():
        os.environ.setdefault(name_of, value)
    console = RunConsole(sys.stdout, run_dir / "pipeline.log")
    started_before, runs_before = _children(), _folders(root / "runs")
    try:
        with contextlib.redirect_stdout(console), _kept_steps_logged(console), warnings.catch_warnings():
            # The local runner warns that it ignores resource requests and images, which only matter in a cluster.
            warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
            warnings.filterwarnings("ignore", message="You may be attemping to run a task that uses custom")
            pipeline(**arguments, code_version=code_version())
    except RuntimeError as failure:
        # kfp.local raises a bare RuntimeError if a task exits with an error; the task has printed the reason.
        if "FAILURE" not in str(failure):
            raise
        sentence = _failure_sentence(console, run_dir, root)  # before room is made
        _remove_outputs(root / "runs", runs_before, console.step)
        raise RunFailed(sentence, console.step) from failure
    except KeyboardInterrupt as stop:
        _end_processes(started_before)
        _remove_outputs(root / "runs", runs_before, console.step)
        kept = "; finished steps are kept, and the same command resumes after them" if keep else ""
        raise Stopped(f"The run was stopped{kept}.") from stop
    finally:
        console.close()
        if not keep:
            shutil.rmtree(root)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return LocalRun(seconds=console.seconds, peak_bytes=peak)


def _failure_sentence(console: RunConsole, run_dir: Path, root: Path) -> str:
    """The error sentence of the failed step; without one, how the step ended and where its output is."""
    full_disk = os.strerror(errno.ENOSPC)
    if console.error is not None and not console.error.startswith(full_disk):
        return console.error
    # The shell that starts a step ends without a reason if it cannot write the step's source to the temporary folder.
    is_cramped = min(shutil.disk_usage(folder).free for folder in (root, tempfile.gettempdir())) < LEAST_FREE_BYTES
    if is_full_disk(console.error or console.crash or "") or (console.crash is None and is_cramped):
        folders = f"{root} and {tempfile.gettempdir()}"
        return f"{full_disk} for the step {console.step} in {folders}: make room, and run the same command again."
    ended = f"crashed with {console.crash:.300}" if console.crash else "was killed, perhaps because memory ran out"
    return f"The step {console.step} {ended}; its output is in {run_dir / 'pipeline.log'}."


def _folders(path: Path) -> set[Path]:
    return set(path.iterdir()) if path.is_dir() else set()


def _remove_outputs(runs: Path, runs_before: set[Path], step: str | None) -> None:
    """Removes what the step wrote before it failed; the outputs of finished steps stay, because the cache names them.

    Args:
        runs: Folder of all runs of a dataset.
        runs_before: Runs that began before this one.
        step: Name of the failed step; None between steps.
    """
    for run in _folders(runs) - runs_before:
        if step is not None:
            shutil.rmtree(run / step, ignore_errors=True)
        if not any(run.iterdir()):
            run.rmdir()


def _children() -> set[psutil.Process]:
    """All processes that this process or one of its children started and that still run."""
    return set(psutil.Process().children(recursive=True))


def _end_processes(started_before: set[psutil.Process]) -> None:
    """Ends the process of the step, because an interrupt may have reached only this process.

    Args:
        started_before: Processes that the run did not start; they keep running.
    """
    children = list(_children() - started_before)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=END_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


@contextlib.contextmanager
def _kept_steps_logged(console: RunConsole) -> Iterator[None]:
    """Sends log records to the console: kfp only sets up logging for executed steps, not for cached steps."""
    logger, handler = logging.getLogger(), logging.StreamHandler(console)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d - %(levelname)s - %(message)s", "%H:%M:%S"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)

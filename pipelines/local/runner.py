"""Run a pipeline on this machine: the same definition that is compiled for a cluster, through kfp.local.

Finished steps are kept by kfp's cache (keyed by arguments, component source, data fingerprint and code version), so a
stopped run goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import resource
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from kfp import local
from kfp.dsl.graph_component import GraphComponent

from feature_repo.errors import RunFailed, Stopped
from pipelines.definitions.fitting import STEP_ENVIRONMENT
from pipelines.local.console import RunConsole
from pipelines.settings import PipelineSettings

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("feature_repo", "inference", "components", "pipelines")
END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A finished local run.

    Attributes:
        seconds: Wall seconds of each step that ran (kept steps are absent).
        peak_bytes: Largest resident memory of a step's process.
    """

    seconds: dict[str, float]
    peak_bytes: int


def code_version() -> str:
    """Version of the code that makes artifacts: a hash of the sources, so that an edit reruns the steps.

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
    """Run a pipeline to its end.

    Args:
        pipeline: Its definition.
        arguments: Its parameters, without `code_version`.
        settings: Where artifacts and the cache live.
        name: Name of the dataset; its runs share a cache.
        run_dir: Receives pipeline.log; exists.
        keep: Keep artifacts, and take from the cache what an earlier run has made; if not, they end with the run.

    Raises:
        RunFailed: A step failed; the message is that step's own sentence, where it had one.
        Stopped: An interrupt came; no step runs on.
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
    for name_of, value in STEP_ENVIRONMENT.items():
        os.environ.setdefault(name_of, value)
    console = RunConsole(sys.stdout, run_dir / "pipeline.log")
    try:
        with contextlib.redirect_stdout(console), _kept_steps_logged(console), warnings.catch_warnings():
            # Resource requests and images matter in the cluster; the local runner warns that it ignores them.
            warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
            warnings.filterwarnings("ignore", message="You may be attemping to run a task that uses custom")
            pipeline(**arguments, code_version=code_version())
    except RuntimeError as failure:
        # kfp.local raises a bare RuntimeError when a task ends non-zero; the task has printed why.
        if "FAILURE" not in str(failure):
            raise
        raise RunFailed(_why(console, run_dir), console.step) from failure
    except KeyboardInterrupt as stop:
        _end_children()
        kept = "; finished steps are kept, so the same command goes on from them" if keep else ""
        raise Stopped(f"stopped{kept}") from stop
    finally:
        console.close()
        if not keep:
            shutil.rmtree(root)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return LocalRun(seconds=console.seconds, peak_bytes=peak)


def _why(console: RunConsole, run_dir: Path) -> str:
    """The sentence of the step that failed; where it gave none, how it ended and where its output is."""
    if console.error is not None:
        return console.error
    ended = f"crashed with {console.crash:.300}" if console.crash else "was killed, perhaps because memory ran out"
    return f"step {console.step} {ended}; all it printed is in {run_dir / 'pipeline.log'}"


def _end_children() -> None:
    """An interrupt may have reached this process alone: its step must not run on."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=END_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


@contextlib.contextmanager
def _kept_steps_logged(console: RunConsole) -> Iterator[None]:
    """Kfp says that it kept a step outside of the logging it sets up for the steps it runs."""
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

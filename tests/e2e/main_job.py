"""`python -m pipelines.run` as a person runs it: a process of its own, with a build folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT

KEPT = "finished earlier, result reused."
LIMITS = {"USERS": 2, "SOURCES": 2, "RANKER": 2, "DEADLINE": 6}  # seconds, of the parts of a request


def validation_python() -> str:
    """Interpreter of the validation environment; the test is skipped where there is none."""
    python = os.environ.get("KUBEREC_VALIDATION_PYTHON") or str(ROOT / ".venv-validation" / "bin" / "python")
    if not Path(python).is_file():
        pytest.skip(f"the validation environment is not set up ({python} is missing): run `make setup`")
    return python


def run(dataset: Path, build: Path, *parameters: str, seconds: float = 900) -> subprocess.CompletedProcess[str]:
    """The whole job to its end."""
    return subprocess.run(
        _command(dataset, parameters),
        env=_environment(build),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@contextmanager
def started(dataset: Path, build: Path, *parameters: str) -> Iterator[subprocess.Popen[str]]:
    """The job under way, its lines to be read; whatever is left of it when the block ends is killed."""
    process = subprocess.Popen(
        _command(dataset, parameters),
        env=_environment(build),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # all of it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def steps(output: str, ending: str = "") -> list[str]:
    """Names of the steps that the job printed, in order; only those whose line has this ending."""
    lines = [line.removeprefix("== ") for line in output.splitlines() if line.startswith("== ")]
    return [line.split(":" if KEPT in line else " ")[0] for line in lines if line.endswith(ending)]


def bundles(build: Path) -> list[Path]:
    """Everything in any store that looks like a bundle or names one."""
    return [*build.glob("store/*/bundles/*"), *build.glob("store/*/current")]


def left_behind(build: Path) -> list[int]:
    """Processes that still run with this build folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = path.read_bytes()
        except OSError:  # it has ended, or is another user's
            continue
        if f"KUBEREC_BUILD={build}".encode() in content.split(b"\0"):
            found.append(int(path.parent.name))
    return found


def assert_one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The job ended with an error in one sentence, and nothing that looks like a crash; returns the sentence."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    lines = done.stderr.splitlines()
    assert lines, done.stdout
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors == lines[-1:], done.stderr
    return errors[0].removeprefix("error: ")


def _command(dataset: Path, parameters: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "pipelines.run", "--dataset", str(dataset), *parameters]


def _environment(build: Path) -> dict[str, str]:
    """The variables of the job; its first feed has more time, because the machine runs other tests too."""
    limits = {f"KUBEREC_{stage}_SECONDS": str(seconds) for stage, seconds in LIMITS.items()}
    named = {"KUBEREC_BUILD": str(build), "KUBEREC_VALIDATION_PYTHON": validation_python()}
    return {**os.environ, **limits, **named}

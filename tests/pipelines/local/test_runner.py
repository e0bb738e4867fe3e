"""A local run of a pipeline that fails: one sentence whatever happened, no step left running, one run at a time."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kfp import dsl

from feature_repo.errors import Busy, RunFailed, Stopped, StorageError, exit_with_sentence
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings
from tests.kit.checkout import ROOT

PYTHON = "python:3.11"  # names an image; the step runs in this interpreter


@dsl.component(base_image=PYTHON, install_kfp_package=False)
def crash_op(code_version: str) -> None:
    """Ends with two tracebacks."""
    try:
        raise KeyError("the first")
    except KeyError as error:
        raise ValueError("the tower leans") from error


@dsl.component(base_image=PYTHON, install_kfp_package=False)
def vanish_op(code_version: str) -> None:
    """Ends like a process that the system kills."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@dsl.component(base_image=PYTHON, install_kfp_package=False)
def fill_disk_op(code_version: str) -> None:
    """Finds the disk full."""
    import errno

    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        raise OSError(errno.ENOSPC, "No space left on device", "/data/table.parquet")


@dsl.component(base_image=PYTHON, install_kfp_package=False)
def half_write_op(made: dsl.Output[dsl.Dataset], code_version: str) -> None:
    """Finds the disk full after a part of the output, in a library that says so in its own way."""
    from pathlib import Path

    import pyarrow as pa

    from feature_repo.errors import exit_with_sentence

    Path(made.path).write_text("half of it")
    with exit_with_sentence(), pa.OSFile("/dev/full", "wb") as file:
        file.write(bytes(1000))


@dsl.component(base_image=PYTHON, install_kfp_package=False)
def wait_op(run_pid: int, mark: str, code_version: str) -> None:
    """Interrupts the run, and only the run, then goes on working."""
    import os
    import signal
    import time
    from pathlib import Path

    Path(mark).write_text(str(os.getpid()))
    os.kill(run_pid, signal.SIGINT)
    time.sleep(60)


@dsl.pipeline(name="crash")
def crash(code_version: str) -> None:
    """A step that crashes."""
    crash_op(code_version=code_version)


@dsl.pipeline(name="vanish")
def vanish(code_version: str) -> None:
    """A step that is killed."""
    vanish_op(code_version=code_version)


@dsl.pipeline(name="fill-disk")
def fill_disk(code_version: str) -> None:
    """A step that cannot write."""
    fill_disk_op(code_version=code_version)


@dsl.pipeline(name="half-write")
def half_write(code_version: str) -> None:
    """A step that fills the disk."""
    half_write_op(code_version=code_version)


@dsl.pipeline(name="wait")
def wait(run_pid: int, mark: str, code_version: str) -> None:
    """A step that takes long."""
    wait_op(run_pid=run_pid, mark=mark, code_version=code_version)


@pytest.fixture
def settings(tmp_path: Path) -> PipelineSettings:
    (tmp_path / "run").mkdir()
    return PipelineSettings(build=tmp_path, validation_python=sys.executable)


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        (crash, "The step crash-op crashed with ValueError: the tower leans; its output is in {log}."),
        (vanish, "The step vanish-op was killed, perhaps because memory ran out; its output is in {log}."),
        (
            fill_disk,
            "/data/table.parquet: No space left on device; make room on the disk or open the folder, and run the same "
            "command again.",
        ),
    ],
)
def test_a_step_that_fails_ends_the_run_with_a_sentence(
    settings: PipelineSettings, capsys: pytest.CaptureFixture[str], pipeline: object, words: str
) -> None:
    log = settings.build / "run" / "pipeline.log"
    with pytest.raises(RunFailed) as caught:
        run_pipeline(pipeline, {}, settings, name="shop", run_dir=log.parent)
    assert str(caught.value) == words.format(log=log)
    shown = capsys.readouterr().out
    assert "Traceback" not in shown
    if pipeline is crash:
        assert log.read_text().count("Traceback") == 2


def test_a_full_disk_in_a_step_has_its_exit_code_and_leaves_nothing_half_written(
    settings: PipelineSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_with_sentence():
        run_pipeline(half_write, {}, settings, name="shop", run_dir=settings.build / "run")
    assert ended.value.code == StorageError.exit_code
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: No space left on device for the step half-write-op in ")
    assert str(settings.build) in sentence
    assert not list((settings.build / "pipeline" / "shop" / "runs").iterdir())


def test_an_interrupted_run_leaves_no_step_and_ends_no_other_process(
    settings: PipelineSettings, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    arguments = {"run_pid": os.getpid(), "mark": str(mark)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with pytest.raises(Stopped, match="finished steps are kept"):
            run_pipeline(wait, arguments, settings, name="shop", run_dir=tmp_path / "run")
        assert not psutil.pid_exists(int(mark.read_text()))
        assert other.poll() is None
        other.communicate(b"\n", timeout=30)
    assert other.returncode == 0


def test_a_folder_is_one_process_s_and_free_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "run"
    lines = (
        "from pathlib import Path",
        "from pipelines.local.run_folder import fresh_folder",
        f"with fresh_folder(Path({str(folder)!r})): print('mine', flush=True); input()",
    )
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        (folder / "report").write_text("half of it")
        with (
            pytest.raises(Busy, match=rf"process {process.pid} is writing to {folder}: .*KUBEREC_BUILD"),
            fresh_folder(folder),
        ):
            pass
        assert (folder / "report").exists()
        process.kill()
    with fresh_folder(folder) as empty:
        assert list(empty.iterdir()) == []


def test_a_file_in_the_place_of_the_build_folder(tmp_path: Path) -> None:
    (tmp_path / "build").touch()
    with (
        pytest.raises(StorageError, match="build is not a folder: set KUBEREC_BUILD"),
        fresh_folder(tmp_path / "build" / "run"),
    ):
        pass

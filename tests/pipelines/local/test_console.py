"""The console of a run: kfp's bookkeeping stays in the log, a person sees steps, progress and the error."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local.console import RunConsole

LOG = """\
02:03:47.876 - INFO - Running pipeline: \x1b[95m'kuberec-training'\x1b[0m
--------------------------------------------------------------------------------
02:03:47.880 - INFO - Task ingest-dataset cache hit (key=514aa536d570); skipping execution.
02:03:47.889 - INFO - Executing task \x1b[96m'check-rows-op'\x1b[0m
02:03:47.890 - INFO - Streamed logs:

    [KFP Executor 2026-11-21 02:03:47,976 INFO]: Looking for component `check_rows_op`
    [KFP Executor 2026-11-21 02:03:47,978 INFO]: Got executor_input:
    {
        "inputs": {
            "parameterValues": {
                "code_version": "fbb5978b50e2"
            }
        },
        "outputs": {}
    }
    reading interactions: 5253 rows
    quality 98.59% (minimum 95.00%)
    [KFP Executor 2026-11-21 02:03:51,566 INFO]: Wrote executor output file to /executor_output.json.

02:03:51.908 - INFO - Task \x1b[96m'check-rows-op'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
02:03:51.909 - INFO - Task \x1b[96m'check-rows-op'\x1b[0m outputs:
    metrics: Metrics( name='metrics',
                      uri='/runs/check-rows-op/metrics',
                      metadata={'users_bad': 3.0} )
--------------------------------------------------------------------------------
02:03:51.910 - INFO - Executing task \x1b[96m'fit-towers-op-2'\x1b[0m
02:03:51.911 - INFO - Streamed logs:
    towers: epoch 1, loss 5.791
    error: only 69.1% of the 5,000 interactions are clean; see the report
02:03:55.000 - INFO - Task \x1b[96m'fit-towers-op-2'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
"""
SHOWN = [
    "== ingest-dataset: finished earlier, result reused.",
    "== check-rows-op (at 0 s)",
    "   reading interactions: 5253 rows",
    "   quality 98.59% (minimum 95.00%)",
    "== fit-towers-op-2 (at 0 s)",
    "   towers: epoch 1, loss 5.791",
    "   error: only 69.1% of the 5,000 interactions are clean; see the report",
]


def show(directory: Path, parts: list[str]) -> tuple[list[str], RunConsole]:
    terminal = io.StringIO()
    with RunConsole(terminal, directory / "pipeline.log") as console:
        for part in parts:
            assert console.write(part) == len(part)
    assert not terminal.closed
    return terminal.getvalue().splitlines(), console


def test_a_person_sees_steps_and_progress(tmp_path: Path) -> None:
    shown, console = show(tmp_path, [LOG])
    assert shown == SHOWN
    assert (tmp_path / "pipeline.log").read_text() == LOG
    assert console.error == "only 69.1% of the 5,000 interactions are clean; see the report"
    assert list(console.seconds) == ["check-rows-op", "fit-towers-op-2"]
    assert all(0 <= seconds < 5 for seconds in console.seconds.values())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(LOG)), max_size=12))
def test_where_the_text_is_cut_does_not_matter(tmp_path: Path, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(LOG)]
    shown, _ = show(tmp_path, [LOG[start:end] for start, end in pairwise(places)])
    assert shown == SHOWN


def test_a_run_without_an_error_has_none(tmp_path: Path) -> None:
    _, console = show(tmp_path, ["    all is well\n"])
    assert console.error is None
    console.close()  # a second time does nothing
    with pytest.raises(ValueError, match="closed"):
        console.write("more\n")


def test_a_log_that_cannot_be_written_does_not_end_the_run() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    terminal = io.StringIO()
    with RunConsole(terminal, full) as console:
        console.write("    all\n")
        console.write("    is well\n")
    assert terminal.getvalue().splitlines() == [
        "The log /dev/full ends here: No space left on device.",
        "   all",
        "   is well",
    ]

"""The drawing of the error tree is the tree: every class stands in it, with its parent and its exit code."""

import errno
import importlib
import os
import re
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import errors
from feature_repo.errors import (
    FeatureStoreError,
    KuberecError,
    RequestError,
    RunFailed,
    StorageError,
    exit_with_sentence,
)
from tests.kit.checkout import classes

LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<code>\d+)  \S")
SHARED = 1  # the code of every failure that callers need not distinguish


def drawn() -> dict[str, tuple[str | None, int]]:
    """Parent and exit code of each class by name, as the docstring draws them."""
    found: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["branch"]) // 4
            path = [*path[:depth], match["name"]]
            found[match["name"]] = (path[depth - 1] if depth else None, int(match["code"]))
    return found


def defined() -> dict[str, tuple[str | None, int]]:
    """The same of the classes in all packages: those that derive from an error of ours."""
    found: dict[str, tuple[str | None, int]] = {KuberecError.__name__: (None, KuberecError.exit_code)}
    known = set(drawn()) | {KuberecError.__name__}
    for module, node in classes():
        if any(getattr(base, "id", getattr(base, "attr", "")) in known for base in node.bases):
            error = getattr(importlib.import_module(module), node.name)
            assert issubclass(error, KuberecError)
            found[node.name] = (error.__bases__[0].__name__, error.exit_code)
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn() == defined()


def test_exit_codes_are_unique_but_for_the_shared_one() -> None:
    counts = Counter(code for _, code in drawn().values())
    assert {code for code, num in counts.items() if num > 1} == {SHARED}
    assert all(0 < code < 256 for code in counts)


def test_all_errors_are_in_one_module_but_for_those_of_a_request() -> None:
    elsewhere = {name: parent for name, (parent, _) in defined().items() if not hasattr(errors, name)}
    assert set(elsewhere.values()) <= {RequestError.__name__}


def fill_with_python() -> None:
    with Path("/dev/full").open("wb") as file:
        file.write(bytes(100_000))


def fill_with_parquet() -> None:
    with pa.OSFile("/dev/full", "wb") as file:  # pyarrow would remove a path that it cannot write
        pq.write_table(pa.table({"a": [1]}), file)


def fill_with_numpy() -> None:
    with Path("/dev/full").open("wb") as file:
        np.save(file, np.zeros(100_000))


def spill_with_duckdb() -> None:
    """The limit stands for the room on the disk; DuckDB would replace /dev/full by a file."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{folder}'; SET max_temp_directory_size = '1MB'")
        connection.execute("SET memory_limit = '10MB'; SET threads = 1")
        connection.execute("CREATE TABLE t AS SELECT random() AS a, random() AS b FROM range(1000000)")


def fill_with_sqlite() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE t (a TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)


def fill_in_our_words() -> None:
    try:
        fill_with_sqlite()
    except sqlite3.Error as error:
        raise FeatureStoreError(f"The online store cannot be filled: {error}.") from error


def fill_in_a_step() -> None:
    raise RunFailed("No space left on device for the step a in /b: make room, and run the same command again.", "a")


def open_too_many_files() -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "part-1.parquet")


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (fill_with_python, "No space left on device; make room"),
        (fill_with_parquet, "No space left on device; make room"),
        (fill_with_numpy, "No space left on device; make room"),
        (spill_with_duckdb, "No space left on device; make room"),
        (fill_with_sqlite, "No space left on device; make room"),
        (fill_in_our_words, "The online store cannot be filled: database or disk is full; make room on the disk"),
        (fill_in_a_step, "No space left on device for the step a in /b: make room"),
        (open_too_many_files, "part-1.parquet: Too many open files; raise the limit"),
    ],
)
def test_a_full_disk_is_one_sentence_and_one_code_whoever_reports_it(work, words, capsys) -> None:
    with pytest.raises(SystemExit) as ended, exit_with_sentence():
        work()
    assert ended.value.code == StorageError.exit_code
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {words}")
    assert (shown.count("\n"), shown.count("run the same command again")) == (1, 1)


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_other_failures_keep_their_traceback(error) -> None:
    with pytest.raises(type(error)), exit_with_sentence():
        raise error

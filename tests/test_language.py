"""The language check finds mannered words where people read, and fails above its ceiling only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / ".ci" / "check-language"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """An empty git checkout."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def check(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """The exit status, and `file:line: "word"` of every finding."""
    done = subprocess.run([sys.executable, SCRIPT, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    *found, total = done.stdout.splitlines()
    assert total.startswith(f"language: {len(found)} mannered words in ")
    return done.returncode, [line.split(", better: ")[0] for line in found]


def test_docstrings_comments_and_sentences_are_read(checkout: Path) -> None:
    (checkout / "module.py").write_text(
        '"""First line.\n\nNobody reads this.\n"""\n'
        "# A comment that goes\n# on over two lines.\n"
        "told = {'told': 'beside'}  # names and keys are no text\n"
        'raise ValueError(f"The file {told} lies "\n    "beside the other one.")\n'
    )
    assert check(checkout) == (
        1,
        [
            'module.py:3: "Nobody"',
            'module.py:5: "goes on"',
            'module.py:7: "are no"',
            'module.py:9: "beside"',
        ],
    )


def test_markdown_is_read_without_its_code(checkout: Path) -> None:
    (checkout / "page.md").write_text(
        "The log is\nno dataset.\n\n```\nwhoever --told\n```\n\n`told` and [a page](told.md) of its own.\n"
    )
    assert check(checkout)[1] == ['page.md:1: "is no"', 'page.md:8: "of its own"']


@pytest.mark.parametrize(
    "plain",
    [
        "There is no default, and it is no longer needed.",
        "The page says how to tell it is over.",
        "The step goes on to the next file.",
        "It is no worse than the baseline, and there\nare no others.",
        "Each process has its own lease, besides the ledger.",
    ],
)
def test_plain_sentences_pass(checkout: Path, plain: str) -> None:
    (checkout / "page.md").write_text(plain + "\n")
    assert check(checkout, "--ceiling", "0") == (0, [])


def test_the_rate_decides(checkout: Path) -> None:
    (checkout / "page.md").write_text("Nobody reads it. " + "word " * 997 + "\n")
    assert check(checkout, "--ceiling", "10")[0] == 0
    assert check(checkout, "--ceiling", "9.9")[0] == 1


def test_paths_are_kept_and_tests_left_out(checkout: Path) -> None:
    for name in ("tests/test_it.py", "part/module.py", "other/module.py"):
        (checkout / name).parent.mkdir()
        (checkout / name).write_text('"""Whatever it may be."""\n')
    (checkout / ".gitignore").write_text("other/\n")
    assert check(checkout)[1] == check(checkout, "part")[1] == ['part/module.py:1: "Whatever"']
    assert check(checkout, "tests") == (0, [])

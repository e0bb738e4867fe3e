"""The entry point of the commands: its help, its exit codes, its signals."""

import argparse
import os
import signal
from collections.abc import Iterator

import pytest

from feature_repo.command import Command
from feature_repo.errors import INTERRUPTED, SettingsError

DOC = """Sells things.

    python -m shop.sell --price 3
"""


def add_price(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("things", nargs="*")
    parser.add_argument("--price", type=int, help="of each thing")


def sell(options: argparse.Namespace) -> None:
    if options.price is None:
        raise SettingsError("--price is missing: name one.")
    print(options.price, *options.things)


def terminate(_options: argparse.Namespace) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


@pytest.fixture
def handler() -> Iterator[None]:
    """Puts back how this process takes a termination."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_the_help_has_name_description_and_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Command("shop.sell", DOC, sell, add_price)(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m shop.sell [-h] [--price PRICE]")
    assert DOC.strip() in shown
    assert "of each thing" in shown


def test_an_error_is_one_sentence_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    command = Command("shop.sell", DOC, sell, add_price, intermixed=True)
    command(["tea", "--price", "3", "wine"])
    assert capsys.readouterr().out == "3 tea wine\n"
    with pytest.raises(SystemExit) as ended:
        command([])
    assert ended.value.code == SettingsError.exit_code
    assert capsys.readouterr().err == "error: --price is missing: name one.\n"


@pytest.mark.usefixtures("handler")
def test_a_termination_interrupts_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Command("shop.sell", DOC, terminate, interrupts=(signal.SIGTERM,))([])
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == "stopped\n"

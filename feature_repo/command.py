"""The entry point of all commands: parser, a single sentence on failure, orderly end of the work on signals."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feature_repo.errors import exit_with_sentence


@dataclass(frozen=True, slots=True)
class Command:
    """The entry point of a module that runs as `python -m <module>`; a call runs it.

    Attributes:
        module: The module's name on the command line.
        doc: The module's docstring; `--help` shows it.
        work: Function that does the work with the parsed arguments.
        add_arguments: Adds the command's arguments to the parser; None if the command takes none.
        interrupts: Signals that interrupt the work like Ctrl-C, so that its processes end with it.
        intermixed: Whether options may stand between positional arguments; argparse cannot mix them with subcommands.
    """

    module: str
    doc: str | None
    work: Callable[[argparse.Namespace], None]
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    interrupts: tuple[signal.Signals, ...] = ()
    intermixed: bool = False

    def __call__(self, arguments: Sequence[str] | None = None) -> None:
        """Runs the command.

        Args:
            arguments: Arguments of the command line; those of this process if None.

        Raises:
            SystemExit: The work failed, with the exit code of its error; argparse refuses arguments with code 2.
        """
        parser = self.parser()
        options = parser.parse_intermixed_args(arguments) if self.intermixed else parser.parse_args(arguments)
        for number in self.interrupts:
            signal.signal(number, signal.default_int_handler)
        with exit_with_sentence():
            self.work(options)

    def parser(self) -> argparse.ArgumentParser:
        """The parser of the command line."""
        parser = argparse.ArgumentParser(
            prog=f"python -m {self.module}",
            description=self.doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if self.add_arguments is not None:
            self.add_arguments(parser)
        return parser

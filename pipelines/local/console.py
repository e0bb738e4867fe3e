"""The console of a local pipeline run: one line per step, the progress lines of the steps, and the error sentence.

kfp's local runner prints status lines between the lines of the steps. All lines go to a log file; the terminal receives
only the lines of the steps.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from pathlib import Path
from typing import TextIO

_TASK = re.compile(r"Executing task .*?'?([a-z][a-z0-9-]+)'?\x1b?")
_CACHED = re.compile(r"Task ([a-z0-9-]+) cache hit")
_LOGGING = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} - [A-Z]+ - ")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = re.compile(
    r"^\s*(\[KFP Executor|-{20,}|ModuleNotFoundError\(.No module named .faiss\."
    r"|The above exception was the direct cause|During handling of the above exception)"
)
_TRACEBACK = "Traceback (most recent call last):"
_INPUT_END = "    }"  # last line of the JSON that kfp prints for a task's input


class RunConsole(io.TextIOBase):
    """A stdout that writes every line to a log and forwards the readable lines.

    Args:
        terminal: Receives the readable lines.
        log_path: Receives all lines; the folder must exist.

    Attributes:
        error: The last error sentence of a step ("error: ..."), None without an error.
        crash: Last line of the last traceback, None without a traceback. Its other lines only go to the log.
        step: Name of the running step, None between steps.
        seconds: Wall seconds of each finished step by name, in order.
    """

    def __init__(self, terminal: TextIO, log_path: Path) -> None:
        super().__init__()
        self._terminal = terminal
        self._log: TextIO | None = log_path.open("w", encoding="utf-8")
        self._pending = ""
        self.step: str | None = None
        self._started = time.monotonic()
        self._step_started = self._started
        self._in_outputs = False
        self._in_input = False
        self._traceback_depth: int | None = None
        self.error: str | None = None
        self.crash: str | None = None
        self.seconds: dict[str, float] = {}

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._keep(text)
        self._pending += text
        *lines, self._pending = self._pending.split("\n")
        for line in lines:
            self._line(_ANSI.sub("", line).rstrip())
        return len(text)

    def flush(self) -> None:
        self._keep("")
        self._terminal.flush()

    def close(self) -> None:
        """Records the last step's time and closes the log; the terminal stays open."""
        if not self.closed:
            self._end_step()
            self._keep("")
            super().close()
            if self._log is not None:
                self._log.close()

    def _keep(self, text: str) -> None:
        """Writes to the log. A failed write is reported once and disables the log; it does not end the run."""
        if self._log is None:
            return
        try:
            self._log.write(text)
            self._log.flush()
        except OSError as error:
            self._terminal.write(f"The log {self._log.name} ends here: {error.strerror}.\n")
            log, self._log = self._log, None
            with contextlib.suppress(OSError):  # closing flushes the buffer, which just failed
                log.close()

    def _line(self, line: str) -> None:
        if cached := _CACHED.search(line):
            self._end_step()
            self._terminal.write(f"== {cached[1]}: finished earlier, result reused.\n")
            return
        if _LOGGING.match(line.lstrip()):
            self._in_outputs = "outputs:" in line
            if task := _TASK.search(line):
                self._end_step()
                self.step, self._step_started = task[1], time.monotonic()
                self._terminal.write(f"== {task[1]} (at {self._step_started - self._started:.0f} s)\n")
                self._terminal.flush()
            return
        text = line.strip()
        if self._in_input or line.endswith("Got executor_input:"):
            self._in_input = line.rstrip() != _INPUT_END
            return
        if self._in_outputs or not text or _NOISE.search(line):
            return
        depth = len(line) - len(line.lstrip())
        if text == _TRACEBACK:
            self._traceback_depth = depth
            return
        if self._traceback_depth is not None:
            if depth > self._traceback_depth:
                return
            self._traceback_depth, self.crash = None, text
        if text.startswith("error: "):
            self.error = text.removeprefix("error: ")
        self._terminal.write(f"   {text}\n")
        self._terminal.flush()

    def _end_step(self) -> None:
        if self.step is not None:
            self.seconds[self.step] = time.monotonic() - self._step_started
            self.step = None

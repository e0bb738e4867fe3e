"""Shows the progress of long work: a bar on a terminal, else a plain line to stderr every few seconds.

Nothing is written to stdout, which is reserved for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

LINE_SECONDS = 5.0


def say(message: str) -> None:
    """Prints one plain line to stderr at once."""
    print(message, file=sys.stderr, flush=True)


def track(
    iterable: Iterable[T], what: str, total: int | None = None, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yields the elements of `iterable` and shows the progress.

    Args:
        iterable: The steps of the work.
        what: Name of the work, a few words.
        total: Sum of the sizes of the steps; by default their number if `iterable` has a length.
        size: Share of a step in the work, for steps of different length.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if sys.stderr.isatty():
        from tqdm import tqdm  # only on a terminal, because serving images do not contain it

        with tqdm(desc=what, total=total, leave=False) as bar:
            for step in iterable:
                yield step
                bar.update(size(step))
        return
    started = last = time.monotonic()
    done = 0
    for step in iterable:
        yield step
        done += size(step)
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            of = f" of {total:,}" if total else ""
            left = f", about {(now - started) / done * (total - done):.0f} s left" if total else ""
            say(f"{what}: {done:,}{of} in {now - started:.0f} s{left}")


@contextmanager
def waiting(what: str, share: Callable[[], float] | None = None) -> Iterator[None]:
    """Prints a line every few seconds while a block runs that cannot be split into steps.

    Args:
        what: Name of the work, a few words.
        share: Returns the completed share, 0..1, or less than 0 if unknown; called from another thread.
    """
    started = time.monotonic()
    ended = Event()

    def report() -> None:
        while not ended.wait(LINE_SECONDS):
            done = share() if share else -1.0
            say(f"{what}: {f'{done:.0%} in ' if done > 0 else ''}{time.monotonic() - started:.0f} s")

    thread = Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""Threads that compute parts of a fit next to each other.

Each thread computes with a single thread of torch. Several threads of torch within an operation wait for each other
after each of them, and the operations of a step are short: on two cores a fit took longer with two such threads than
with one. Parts of a step meet only once. The number of parts belongs to the caller and never depends on the number of
threads, so the results do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Self, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[None]:
    """Limits torch to a single thread in the calling thread, within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Workers:
    """A pool of threads, to be used as a context manager; torch has a single thread in each, and in the calling thread.

    Args:
        num_threads: Number of threads; with 1, the parts are computed in the calling thread.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads, self._open = num_threads, ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._open.enter_context(single_thread())
        if self._num_threads > 1:
            # The number of threads of torch is a setting of each thread.
            pool = ThreadPoolExecutor(self._num_threads, "towers", torch.set_num_threads, (1,))
            self._pool = self._open.enter_context(pool)
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """The results of a function for all parts, in their order; gradients are on in each thread by default."""
        return list(map(function, parts) if self._pool is None else self._pool.map(function, parts))

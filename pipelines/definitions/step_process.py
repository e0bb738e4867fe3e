"""Runs a module in a separate process from a step, because `import kfp` is incomplete inside a step's function."""

from __future__ import annotations

import os
import subprocess
import sys

_RUNTIME_FLAG = "_KFP_RUNTIME"  # kfp sets it in steps; `import kfp` then omits compiler, client and local runner


def run_module(module: str, *arguments: str) -> None:
    """Runs `python -m module` to its end; the process inherits the output streams of the step.

    Args:
        module: Name of the module.
        arguments: Arguments of its command line.

    Raises:
        SystemExit: The process failed; the step exits with the same code (128 plus the number of a signal).
    """
    environment = {name: value for name, value in os.environ.items() if name != _RUNTIME_FLAG}
    ended = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode if ended.returncode > 0 else 128 - ended.returncode)

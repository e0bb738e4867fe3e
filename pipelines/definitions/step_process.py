"""Runs a module as a process from within a step: kfp shows a step's own function little more than the annotations."""

from __future__ import annotations

import os
import subprocess
import sys

_HIDES = "_KFP_RUNTIME"  # set by kfp in its steps: `import kfp` then leaves compiler, client and local runner out


def run_module(module: str, *arguments: str) -> None:
    """Run `python -m module` to its end; what it prints is printed here.

    Args:
        module: Its name.
        arguments: Of its command line.

    Raises:
        SystemExit: It ended with another code than 0: this process ends with the same.
    """
    environment = {name: value for name, value in os.environ.items() if name != _HIDES}
    ended = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode if ended.returncode > 0 else 128 - ended.returncode)

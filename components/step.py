"""The decorator of every pipeline step: kfp's component with our image, without an install when a pod starts.

kfp ships only the source of the decorated function, so the body imports what it needs. A body never imports this
module, because kfp does not provide its compiler, and `dsl.component`, within a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kfp import dsl

# Names without registry and tag: `pipelines/cluster/pods.py` completes them for a cluster.
PIPELINE_IMAGE = "pipeline"
VALIDATION_IMAGE = "validation"


def step(image: str = PIPELINE_IMAGE) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that makes a function the step of a pipeline.

    Args:
        image: The image of the step, which holds the code and every package; kfp installs nothing.
    """
    return partial(dsl.component, base_image=image, install_kfp_package=False)

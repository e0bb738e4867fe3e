"""The decorator of every pipeline step: kfp's component, with our image and without an install when a pod starts.

kfp ships the source of the decorated function alone, so a body imports what it needs, and never this module: within a
step kfp leaves its compiler out, and with it `dsl.component`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kfp import dsl

PIPELINE_IMAGE = "kuberec/pipeline:0.1.0"
VALIDATION_IMAGE = "kuberec/validation:0.1.0"


def step(image: str = PIPELINE_IMAGE) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that makes a function the step of a pipeline.

    Args:
        image: The image the step runs in, which holds the code and every package: kfp installs nothing in it.
    """
    return partial(dsl.component, base_image=image, install_kfp_package=False)

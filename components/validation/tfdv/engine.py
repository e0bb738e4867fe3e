"""The only import of TensorFlow Data Validation, quiet and lazy.

TFDV has a separate environment; importing this module is safe in every environment.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from functools import cache
from typing import Any

from feature_repo.errors import SettingsError

NUM_TOP_VALUES = 20
NUM_HISTOGRAM_BUCKETS = 20


@cache
def tfdv() -> Any:
    """The package `tensorflow_data_validation`, imported without TensorFlow's start-up messages.

    Raises:
        SettingsError: The package is not installed for this interpreter.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            import tensorflow_data_validation
    except ImportError as error:
        raise SettingsError(
            f"TFDV cannot be imported ({error}): statistics run in the validation environment, whose interpreter "
            "KUBEREC_VALIDATION_PYTHON names."
        ) from error
    return tensorflow_data_validation


def generate(batch: Any) -> Any:
    """Statistics of one record batch (DatasetFeatureStatisticsList), in this process and without Beam."""
    validation = tfdv()
    from tensorflow_data_validation.statistics import stats_impl

    options = validation.StatsOptions(
        num_top_values=NUM_TOP_VALUES,
        num_rank_histogram_buckets=NUM_TOP_VALUES,
        num_histogram_buckets=NUM_HISTOGRAM_BUCKETS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stats_impl.generate_statistics_in_memory(batch, options)

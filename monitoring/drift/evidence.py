"""PSI by Evidently: a report of `ValueDrift` over binned columns, with the test `kuberec_psi`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

from monitoring.drift.psi import register
from monitoring.drift.report import SIGNIFICANT

COLUMNS_TOGETHER = 10  # bounds memory: 60 columns over slates of 100 items take 0.9 GB at once, 0.15 GB by tens

Counts = npt.NDArray[np.int64]


def evidently_psi(counted: Mapping[str, tuple[Counts, Counts]]) -> dict[str, float]:
    """PSI of every column.

    Args:
        counted: Column -> units in each bin [b] of the reference and of the window; neither is empty.
    """
    groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for name, (before, after) in counted.items():
        groups[int(before.sum()), int(after.sum())].append(name)  # a data frame needs columns of one length
    figures: dict[str, float] = {}
    for names in groups.values():
        for start in range(0, len(names), COLUMNS_TOGETHER):
            some = names[start : start + COLUMNS_TOGETHER]
            reference = frame({name: counted[name][0] for name in some})
            current = frame({name: counted[name][1] for name in some})
            figures |= _report(reference, current)
    return figures


def frame(counts: Mapping[str, Counts]) -> pd.DataFrame:
    """Counts as columns of bin numbers [n]: each bin number is repeated by its count."""
    return pd.DataFrame({name: np.repeat(np.arange(len(column)), column) for name, column in counts.items()})


def _report(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    method = register()
    definition = DataDefinition(categorical_columns=list(reference.columns))
    drifts = [ValueDrift(column=name, method=method, threshold=SIGNIFICANT) for name in reference.columns]
    snapshot = Report(drifts, include_tests=False).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    content: dict[str, Any] = snapshot.dict()
    return {metric["config"]["column"]: float(metric["value"]) for metric in content["metrics"]}

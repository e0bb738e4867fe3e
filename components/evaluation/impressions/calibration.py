"""Whether predicted probabilities agree with the rates on impressions of the test span.

Impressions are sorted by the predicted probability and divided into bins of equal size. The expected calibration error
is the mean distance between the mean probability and the rate of a bin, weighted by its size (Naeini, Cooper and
Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; bins of equal size: Nixon et
al., "Measuring calibration in deep learning", CVPR workshops 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation.impressions.metrics import Judged

FloatArray64 = npt.NDArray[np.float64]
NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of impressions, in the order of the predicted probability.

    Attributes:
        predicted: Mean probability of each bin [b].
        observed: Share of positives of each bin [b].
        sizes: Number of impressions of each bin, at least 1 [b].
    """

    predicted: FloatArray64
    observed: FloatArray64
    sizes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: npt.NDArray[np.int8], probabilities: FloatArray64, num_bins: int = NUM_BINS) -> Reliability:
        """The bins of impressions [n], n > 0; fewer impressions than bins give a bin each."""
        order = np.argsort(probabilities, kind="stable")
        parts = np.array_split(order, min(num_bins, len(order)))
        return cls(
            predicted=np.array([probabilities[part].mean() for part in parts]),
            observed=np.array([(labels[part] > 0).mean() for part in parts]),
            sizes=np.array([len(part) for part in parts], dtype=np.int64),
        )

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.sizes))

    @property
    def error_by_chance(self) -> float:
        """The error that perfect probabilities would have, because every bin holds a finite number of impressions.

        The rate of a bin is then nearly normal around its probability p with the variance p (1 - p) / size, and the
        mean distance of a normal variable is sqrt(2 / pi) standard deviations.
        """
        deviations = np.sqrt(self.predicted * (1 - self.predicted) / self.sizes)
        return float(np.average(np.sqrt(2 / np.pi) * deviations, weights=self.sizes))


def calibration(judged: Judged, objectives: tuple[str, ...]) -> dict[str, Any]:
    """The content `calibration` of `evaluation.json`: the bins and the error of each objective with a positive."""
    content: dict[str, Any] = {}
    for column, objective in enumerate(objectives):
        labels = judged.labels[:, column]
        if not (labels > 0).any():
            continue
        bins = Reliability.of(labels, judged.probabilities[:, column])
        content[objective] = {
            "ece": bins.error,
            "ece_by_chance": bins.error_by_chance,
            "impressions": len(labels),
            "positives": int((labels > 0).sum()),
            "bins": [
                [predicted, observed, size]
                for predicted, observed, size in zip(
                    bins.predicted.tolist(), bins.observed.tolist(), bins.sizes.tolist(), strict=True
                )
            ],
        }
    return content

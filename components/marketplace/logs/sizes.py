"""The named sizes of the logs without impressions, and the writer of their datasets."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.marketplace.dataset.directory import place_dataset
from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.dense.dataset import dense_log
from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.logs.news.dataset import news_log
from feature_repo.errors import SettingsError

DENSE_SIZES: dict[str, dict[str, float]] = {
    "dense": {"num_users": 6_000, "num_items": 3_400, "mean_events": 167.0, "maximum_events": 1_400},
    "dense-tiny": {"num_users": 240, "num_items": 300, "mean_events": 40.0, "maximum_events": 120, "num_days": 60},
}
NEWS_SIZES: dict[str, dict[str, float]] = {
    "news": {"num_users": 8_000, "num_items": 19_000, "num_days": 18, "mean_sessions": 28.0},
    "news-tiny": {"num_users": 260, "num_items": 900, "num_days": 7, "mean_sessions": 24.0},
}
LOG_SIZES = (*DENSE_SIZES, *NEWS_SIZES)


def make_log(size: str, seed: int, out: Path) -> bool:
    """Writes the log of a named size to the directory `out`.

    Returns:
        Whether it was written; False if the same dataset already exists.

    Raises:
        SettingsError: The seed is out of bounds, or `out` exists and is not a simulated dataset.
    """
    try:
        if size in DENSE_SIZES:
            dense = DenseConfig.model_validate({"size": size, "seed": seed, **DENSE_SIZES[size]})
            return place_dataset(dense, out, lambda directory: dense_log(dense).write(dense, directory))
        news = NewsConfig.model_validate({"size": size, "seed": seed, **NEWS_SIZES[size]})
        return place_dataset(news, out, lambda directory: news_log(news).write(news, directory))
    except ValidationError as error:
        raise SettingsError(f"The simulated log refuses seed = {seed}: {error.errors()[0]['msg']}.") from error

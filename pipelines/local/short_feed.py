"""Explains a feed with fewer items than requested, from the bundle's size and the server's counters of filters."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

COUNTER = "recs_filtered_total"
# Name of a filter -> what it removed. A filter without an entry is named.
REMOVED: Mapping[str, str] = {
    "repeats": "that the user already took (`repeats` in dataset.toml decides which may come again)",
    "availability": "that are out of stock, not yet on sale, or not for the user's country or age",
}


def removed_items(url: str) -> dict[str, int]:
    """Items that each filter of a server has removed since its start, by the filter's name.

    Args:
        url: Base URL of the transformer.

    Raises:
        OSError: The server does not answer.
    """
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == COUNTER]
    return {sample.labels["reason"]: int(sample.value) for sample in samples}


def explain(num_shown: int, num_asked: int, num_items: int, removed: Mapping[str, int]) -> str:
    """One sentence that says why a feed is short or empty.

    Args:
        num_shown: Items of the feed.
        num_asked: Items requested.
        num_items: Items of the bundle.
        removed: Items that each filter removed for this feed, by the filter's name.
    """
    has = f"The feed is empty: {num_asked} items" if num_shown == 0 else f"The feed has {num_shown} items: {num_asked}"
    sentence = f"{has} were requested, and the bundle has {num_items}"
    parts = [
        f"{min(num, num_items)} {REMOVED.get(name, f'that the filter {name} excludes')}"
        for name, num in sorted(removed.items())
        if num > 0
    ]
    return f"{sentence}. Filters removed {'; '.join(parts)}." if parts else f"{sentence}."

"""Price of an item: the columns require prices of events or items; the price itself is always stored."""

from __future__ import annotations

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import FIXED_POINT, log_price_of

PRICE_TO_CATEGORY = "price_to_category"


class ItemPriceGroup(SnapshotGroup):
    """Log of the listed price, else of the mean paid so far, and its distance from the mean of the category."""

    content = ("price", "category")
    stored = ("price",)

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        if not facts.has_prices:
            return ()
        return ("log_price", PRICE_TO_CATEGORY) if facts.has_column("items", "category") else ("log_price",)

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        price = activity.events.price
        return {"priced": price.notnull().sum(), "log_price": log_price_of(price).sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {f"{name}_total": over.total(name) for name in ("priced", "log_price")}

    def joined(self, rows: Table, activity: Activity) -> Table:
        """Adds `category_log_price`, the mean of the item's category, if a column needs it."""
        if PRICE_TO_CATEGORY not in activity.feature_set.item_numeric:
            return rows
        means = _category_means(activity)
        joined = rows.left_join(means, [rows.day == means.day, rows.static_category == means.price_category])
        return joined.drop("day_right", "price_category")

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        paid = (rows.log_price_total / rows.priced_total.cast("float64").nullif(0.0) / FIXED_POINT).exp() - 1.0
        price = ibis.coalesce(rows.static_price, paid)
        log_price = (price + 1.0).ln()
        columns = {"price": price, "log_price": log_price}
        if PRICE_TO_CATEGORY in activity.feature_set.item_numeric:
            columns[PRICE_TO_CATEGORY] = log_price - rows.category_log_price
        return columns


def _category_means(activity: Activity) -> Table:
    """Mean log price of the items listed in each category, by day: (day, price_category, category_log_price)."""
    items = activity.items
    priced = items.filter(items.category.notnull() & items.price.notnull())
    log_price = log_price_of(priced.price)
    changes = ibis.union(
        priced.select("category", day=priced.from_day, count=ibis.literal(1, "int64"), total=log_price),
        priced.select("category", day=priced.to_day, count=ibis.literal(-1, "int64"), total=-log_price),
        priced.select("category")
        .distinct()
        .cross_join(activity.calendar.stamps.select("day"))
        .mutate(count=ibis.literal(0, "int64"), total=ibis.literal(0, "int64")),
    )
    daily = changes.group_by("category", "day").agg(count=changes["count"].sum(), total=changes.total.sum())
    so_far = ibis.cumulative_window(group_by="category", order_by=daily.day)
    return daily.select(
        "day",
        price_category="category",
        category_log_price=daily.total.sum().over(so_far)
        / daily["count"].sum().over(so_far).cast("float64").nullif(0.0)
        / FIXED_POINT,
    )

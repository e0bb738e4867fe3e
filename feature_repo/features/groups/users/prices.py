"""Prices that a user pays; requires prices of events or items."""

from __future__ import annotations

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import FIXED_POINT, log_price_of, session_key
from feature_repo.features.snapshots.intervals import at_day

CENTS = 100
MOST_CENTS = 10**15  # of a row and of a user's day: more than any order, and sums over years fit into an int64
SUMS = ("priced", "log_price", "log_price_squared", "order_cents", "orders")


class UserPricesGroup(SnapshotGroup):
    """Mean and spread of the log prices of positive events, and the mean value of an order."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("mean_log_price", "std_log_price", "mean_order_value") if facts.has_prices else ()

    def marked(self, activity: Activity) -> Table:
        """Adds `unit_price` and `new_order`.

        The price is that of the event, else that of the item on that day. `new_order` is 1 at the first priced event of
        its grade in a session, else 0.
        """
        events = at_day(activity.events, activity.items, "item_id", ["price"])
        priced = events.mutate(
            unit_price=ibis.coalesce(events.price, events.static_price), session_key=session_key(events)
        )
        alike = ["user_id", "session_key", "grade", priced.unit_price.notnull()]
        order = ibis.window(group_by=alike, order_by=[priced.time_us, priced.row])
        return priced.mutate(new_order=(ibis.row_number().over(order) == 0).cast("int64"))

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        events = activity.events
        priced = (events.grade > 0) & events.unit_price.notnull()
        bought = (events.grade == len(activity.objectives)) & events.unit_price.notnull()
        log_price = log_price_of(events.unit_price)
        logs = log_price.cast("float64") / FIXED_POINT
        cents = events.unit_price * ibis.greatest(events.quantity.fill_null(1.0), 0.0) * CENTS
        spent = bought.ifelse(ibis.least(cents, float(MOST_CENTS)).round().cast("int64"), 0).sum()
        return {
            "priced": priced.sum(),
            "log_price": priced.ifelse(log_price, 0).sum(),
            "log_price_squared": priced.ifelse((logs * logs * FIXED_POINT).round().cast("int64"), 0).sum(),
            "order_cents": ibis.least(spent, MOST_CENTS).cast("int64"),
            "orders": bought.ifelse(events.new_order, 0).sum(),
        }

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {f"{name}_total": over.total(name) for name in SUMS}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        num_priced = rows.priced_total.cast("float64").nullif(0.0)
        mean = rows.log_price_total / num_priced / FIXED_POINT
        variance = rows.log_price_squared_total / num_priced / FIXED_POINT - mean * mean
        return {
            "mean_log_price": mean,
            "std_log_price": ibis.greatest(variance, 0.0).sqrt(),
            "mean_order_value": rows.order_cents_total / rows.orders_total.cast("float64").nullif(0.0) / CENTS,
        }

"""Activity of a user; every dataset has these columns."""

from __future__ import annotations

from collections.abc import Mapping

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import session_key


class UserActivityGroup(SnapshotGroup):
    """The latest event, sessions and positive events so far, and active days of the last 30."""

    extremes: Mapping[str, str] = {"last_us": "max"}

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return ("days_since_last_event", "num_sessions_total", "num_positive_total", "num_active_days_30d")

    def marked(self, activity: Activity) -> Table:
        """Adds `new_session`: 1 at the first event of a session, else 0.

        Only earlier events decide whether an event is the first of its session.
        """
        keyed = activity.events.mutate(session_key=session_key(activity.events))
        order = ibis.window(group_by=["user_id", "session_key"], order_by=[keyed.time_us, keyed.row])
        return keyed.mutate(new_session=(ibis.row_number().over(order) == 0).cast("int64"))

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        events = activity.events
        return {
            "positives": (events.grade > 0).sum(),
            "active": events.grade.notnull().any().cast("int64"),
            "sessions": events.new_session.sum(),
            "last_us": events.time_us.max(),
        }

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {
            "num_active_days_30d": over.last("active", 30),
            "num_sessions_total": over.total("sessions"),
            "num_positive_total": over.total("positives"),
            "last_event_at": over.so_far(over.rows.last_us.max()).cast("float64") / 1e6,
        }

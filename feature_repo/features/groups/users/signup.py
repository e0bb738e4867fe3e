"""Time since a user's signup; requires signup times of users."""

from __future__ import annotations

from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup
from feature_repo.features.snapshots.calendar import Column, Table


class SignupGroup(SnapshotGroup):
    """Days since the signup."""

    content = ("signup_at_us",)

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("days_since_signup",) if facts.has_column("users", "signup_at") else ()

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        return {"signup_at": rows.static_signup_at_us.cast("float64") / 1e6}

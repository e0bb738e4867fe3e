"""An age is stored as the moment since which it counts."""

from __future__ import annotations

from feature_repo.features.ages import moment_of
from feature_repo.features.feature_set import FeatureSet


def test_ages_are_stored_as_moments() -> None:
    assert moment_of("days_since_signup") == "signup_at"
    assert moment_of("age_days") == "created_at"
    assert moment_of("num_click_7d") is None
    owned = FeatureSet(
        objectives=("click",),
        user_numeric=("days_since_last_event", "days_since_visit"),
        user_extras=("days_since_visit",),
        item_numeric=("age_days", "log_price"),
    )
    assert owned.user_ages == {"days_since_last_event": "last_event_at"}
    assert owned.item_ages == {"age_days": "created_at"}

"""A configuration that cannot be used is refused."""

from __future__ import annotations

import pytest

from components.marketplace.config import config_for
from feature_repo.errors import SettingsError


@pytest.mark.parametrize(
    ("size", "changes", "named"),
    [
        ("huge", {}, "huge"),
        ("tiny", {"shift": {"from_day": 1, "category_boost": {"Cheese": 1}}}, "Cheese"),
        ("tiny", {"shift": {"from_day": 1, "sold_out": ["Cheese"]}}, "Cheese"),
        ("tiny", {"defects": {"null_users": 3}}, "null_users"),
    ],
)
def test_an_unusable_configuration_is_refused_in_a_sentence(size: str, changes: dict, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        config_for(size, **changes)

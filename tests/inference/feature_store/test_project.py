"""Where the online features of a release go."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from inference.feature_store import online_settings
from tests.kit.bundle_factory import FACTS


def test_features_go_next_to_the_bundles_of_a_directory_or_to_redis(tmp_path: Path) -> None:
    local = online_settings(str(tmp_path), FACTS, "", tmp_path / "scratch")
    assert (local.directory, local.dataset, local.stage, local.redis) == (tmp_path / "online", "world", "final", "")
    remote = online_settings("s3://bucket/shop", FACTS, "localhost:1", tmp_path / "scratch")
    assert (remote.directory, remote.redis) == (tmp_path / "scratch", "localhost:1")
    with pytest.raises(SettingsError, match="s3://bucket/shop cannot hold online features"):
        online_settings("s3://bucket/shop", FACTS, "", tmp_path / "scratch")

"""Features of prepared tables: feature set, daily snapshots, static content."""

from components.features.build import build_features

__all__ = ["build_features"]

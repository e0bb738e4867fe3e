"""Removes what no release needs any more: old bundles, and online features that no kept bundle refers to.

The served bundle, the bundle before it and the newest bundles stay, so that a rollback works. A feature set stays as
long as a kept bundle refers to it, or a process fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.bundles.manifest import Facts
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings, prune_features

KEPT_BUNDLES = 3


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed.

    Attributes:
        bundles: Versions of the removed bundles.
        num_features: Number of removed keys in Redis, or of folders with SQLite files.
    """

    bundles: tuple[str, ...]
    num_features: int

    def sentence(self) -> str:
        """The result in words, without a full stop."""
        names = ", ".join(self.bundles) or "no bundle"
        return f"removed {names}, and {self.num_features:,} online features that no kept bundle needs"


def prune(store: BundleStore, place: Callable[[Facts], StoreSettings], keep: int = KEPT_BUNDLES) -> Pruned:
    """Removes old bundles and unused online features.

    Args:
        store: The dataset's store.
        place: Facts of a bundle -> settings of its online features.
        keep: Number of newest bundles that stay, next to the served bundle and the bundle before it.

    Raises:
        KuberecError: A store cannot be read or changed; nothing that a kept bundle needs is removed.
    """
    removed = store.prune(keep)

    def needed() -> set[tuple[StoreSettings, str]]:
        """Place and project of the features of each bundle that the store holds now; releases may run."""
        manifests = [store.manifest(version) for version in store.versions()]
        places = [(place(manifest.facts), manifest.feature_set_hash) for manifest in manifests]
        return {(settings, settings.project(feature_hash)) for settings, feature_hash in places}

    num_features = sum(
        prune_features(settings, lambda: {project for _, project in needed()})
        for settings in {settings for settings, _ in needed()}
    )
    return Pruned(tuple(removed), num_features)

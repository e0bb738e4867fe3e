"""Commands of an operator on a store: list the releases, and serve an earlier bundle again."""

from __future__ import annotations

from datetime import UTC, datetime

from feature_repo.errors import BundleError
from inference.bundles.store import BundleStore

NEVER = datetime.max.replace(tzinfo=UTC)  # sorts bundles that were never released last


def go_back(store: BundleStore, to: str = "") -> str:
    """Serves an earlier bundle again, and describes the change in a sentence.

    Args:
        store: Store of the dataset.
        to: The wanted version; "" for the version that was served before.

    Raises:
        BundleError: There is no such bundle, or it cannot be read; the served bundle is unchanged.
    """
    served = store.current()
    if served is None and to:  # `current` was lost; servers kept their bundle
        store.set_current(to)
        return f"served is {to}; the store had no current bundle"
    if served is None:
        raise BundleError(f"The store {store.url} serves nothing yet: check its name, or release a bundle first.")
    if to == served:
        return f"{served} is served already"
    if to:
        store.set_current(to)
        done = f"served is {to}, before it was {served}"
    else:
        to = store.rollback()
        done = f"rolled back from {served} to {to}"
    try:
        same = store.manifest(to).feature_set_hash == store.manifest(served).feature_set_hash
    except BundleError as error:  # the rollback is done: an operator who saw a failure would roll back once more
        return f"{done}; the age of its features is unknown, refresh now: {error}"
    if same:
        return done
    return f"{done}; its feature set is a different one, so its features are as old as its last refresh: refresh now"


def describe(store: BundleStore) -> list[str]:
    """A line per published bundle in order of release; `*` marks the served bundle, `<` the target of a rollback.

    Raises:
        BundleError: The store cannot be read, or holds no bundle.
    """
    versions = store.versions()
    if not versions:
        raise BundleError(f"The store {store.url} holds no bundle: check its name, or release one first.")
    served, before = store.current(), store.previous()
    records = {version: store.released(version) for version in versions}
    times = {version: record.at for version, record in records.items() if record is not None}
    marks = {before: "<", served: "*"}
    lines = []
    for version in sorted(versions, key=lambda version: (times.get(version, NEVER), version)):
        at = f"released {times[version]:%Y-%m-%d %H:%M:%S}" if version in times else "not released"
        lines.append(f"{marks.get(version, ' ')} {version}  {at:28}  {_facts(store, version)}")
    return lines


def _facts(store: BundleStore, version: str) -> str:
    try:
        manifest = store.manifest(version)
    except BundleError as error:  # one bad bundle must not hide the others
        return str(error)
    end = datetime.fromtimestamp(manifest.facts.log_end, UTC)
    return f"{manifest.num_items} items, log until {end:%Y-%m-%d %H:%M:%S}, gate {manifest.facts.gate}"

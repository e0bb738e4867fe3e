"""The schema of every table: inferred once, kept with the store as text a person may edit, held against later runs.

Owns `<store>/schema/<table>.pbtxt` and the tolerances written into it: what deviates by more is broken data. Runs in
the TFDV environment. Never overwrites a kept schema; columns it has not seen before are appended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.validation.tfdv.engine import tfdv
from feature_repo.errors import QualityError
from feature_repo.storage.files import write_text
from feature_repo.storage.folder import open_folder

SCHEMA_FOLDER = "schema"
SUFFIX = ".pbtxt"
IDENTIFIERS = ("event_id", "user_id", "item_id", "session_id", "request_id", "seller_id")
FREE_TEXT = ("title", "description", "regions")
ALWAYS_PRESENT = {
    "interactions": ("user_id", "item_id", "event_type"),
    "items": ("item_id",),
    "users": ("user_id",),
    "impressions": ("request_id", "user_id", "item_id"),
}
NOT_SERVED = {"impressions": ("propensity", "session_id")}  # our own servers never log them
WORDS_OF_OURS = ("surface",)  # an application may begin to ask for another one
KEPT_PRESENCE = 0.9
KNOWN_MASS = 0.9
TEXT_DRIFT = 0.1  # L-infinity
NUMBER_DRIFT = 0.03  # Jensen-Shannon; prices 30 % up give about 0.05 at a log-sd of 0.5
LABEL_DRIFT = 0.005  # Jensen-Shannon; a rate of 40 % that becomes 49 %
NOT_COMPARED = ("event_id", "session_id", "request_id", "user_id", "timestamp_weekday")
TIMED_TABLES = ("interactions", "impressions")
HARMLESS = ("SCHEMA_NEW_COLUMN",)
LABEL_PREFIX = "label_"
BYTES = 1  # schema_pb2.FeatureType, whose module only the TFDV environment has

HEADER = """# What '{table}' looked like when this schema was first inferred. What does not fit it stops the run.
# Edit it freely: it is never overwritten, only columns seen for the first time are added at the end. Delete the file
# to infer it again.
#   presence.min_fraction: least share of rows with a value
#   distribution_constraints.min_domain_mass: least share of values within the domain
#   int_domain / float_domain {{ min max }}: bounds
#   drift_comparator: threshold of reported drift
"""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A column that does not fit the kept schema; `error` stops the run, `note` is told only."""

    table: str
    column: str
    severity: str
    kind: str
    description: str


@contextmanager
def kept_schemas(store: str) -> Iterator[Path]:
    """The store's schema directory, for reading and writing; for a store behind a URL a local copy of it.

    Raises:
        StorageError: The store cannot be read or written: a schema that cannot be seen is not inferred again.
        QualityError: As the block raised it, naming the store instead of the copy.
    """
    folder = open_folder(f"{store.rstrip('/')}/{SCHEMA_FOLDER}")
    with folder.working_copy(SUFFIX) as copy:
        try:
            yield copy
        except QualityError as error:
            raise QualityError(str(error).replace(str(copy), folder.url)) from error


def schema_version(store: str) -> str:
    """Digest of the kept schemas, 16 hex digits: a cache key, so that statistics follow a schema that was edited."""
    digest = hashlib.sha256()
    with kept_schemas(store) as directory:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def keep_schema(table: str, statistics: Any, directory: Path) -> tuple[Any, bool]:
    """The kept schema of a table, inferred and written if there is none yet.

    Args:
        table: Name of the table.
        statistics: Its statistics; not empty.
        directory: Where schemas are kept.

    Returns:
        The Schema message, and whether it is new.

    Raises:
        QualityError: The file was edited into something that is no schema.
    """
    path = directory / f"{table}{SUFFIX}"
    if path.is_file():
        return _load(path), False
    schema = infer(table, statistics)
    write_text(path, HEADER.format(table=table) + str(schema))
    return schema, True


def infer(table: str, statistics: Any) -> Any:
    """A schema with room for ordinary days.

    A column may lose a tenth of its values, and a tenth of its values may be new, before the data count as broken. Ids
    and free text have no domain; 0/1 is a domain for labels and flags only. What a served log does not have need not
    be present, for it grows with every day that is served.
    """
    schema = tfdv().infer_schema(statistics, infer_feature_shape=False)
    counts = {feature.path.step[0]: _common(feature) for feature in statistics.datasets[0].features}
    for feature in schema.feature:
        common = counts[feature.name]
        present = common.num_non_missing / max(common.num_non_missing + common.num_missing, 1)
        strict = feature.name in ALWAYS_PRESENT[table]
        if feature.name in NOT_SERVED.get(table, ()):
            feature.ClearField("presence")
        else:
            feature.presence.min_fraction = 1.0 if strict else round(KEPT_PRESENCE * present, 4)
            feature.presence.min_count = 1
        _loosen_domain(feature)
        if table in TIMED_TABLES:
            _compare(feature)
    used = {feature.domain for feature in schema.feature if feature.domain}
    domains = [domain for domain in schema.string_domain if domain.name in used]
    del schema.string_domain[:]
    schema.string_domain.extend(domains)
    return schema


def anomalies(table: str, statistics: Any, schema: Any) -> list[Anomaly]:
    """Where a table's statistics do not fit its schema."""
    found = tfdv().validate_statistics(statistics, schema)
    return [
        Anomaly(
            table=table,
            column=".".join(info.path.step) or name,
            severity="note" if _kinds(info) and all(kind in HARMLESS for kind in _kinds(info)) else "error",
            kind=", ".join(_kinds(info)) or "UNKNOWN",
            description=_sentence(info),
        )
        for name, info in sorted(found.anomaly_info.items())
    ] + [
        Anomaly(table, "*", "error", "DATASET", _sentence(found.dataset_anomaly_info))
        for _ in range(len(found.dataset_anomaly_info.reason) > 0)
    ]


def known_columns(schema: Any) -> frozenset[str]:
    """Columns the schema speaks of."""
    return frozenset(feature.name for feature in schema.feature)


def append_columns(table: str, names: Iterable[str], statistics: Any, directory: Path) -> None:
    """Adds columns the kept schema does not know to the end of its file; what a person wrote stays as it is."""
    inferred = infer(table, statistics)
    features = [feature for feature in inferred.feature if feature.name in set(names)]
    domains = [domain for domain in inferred.string_domain if domain.name in {feature.domain for feature in features}]
    addition = type(inferred)(feature=features, string_domain=domains)
    path = directory / f"{table}{SUFFIX}"
    write_text(path, f"{path.read_text(encoding='utf-8').rstrip()}\n{addition}")


def _load(path: Path) -> Any:
    from google.protobuf.text_format import ParseError

    try:
        return tfdv().load_schema_text(str(path))
    except (ParseError, UnicodeDecodeError) as error:
        raise QualityError(
            f"{path} is no schema any more ({' '.join(str(error).split())}): mend it, or delete it to infer it again."
        ) from error


def _loosen_domain(feature: Any) -> None:
    domain = feature.WhichOneof("domain_info")
    name = feature.name
    if domain == "bool_domain" and (name.startswith(LABEL_PREFIX) or name == "in_stock"):
        return
    if domain == "domain" and name not in (*IDENTIFIERS, *FREE_TEXT, *WORDS_OF_OURS):
        feature.distribution_constraints.min_domain_mass = KNOWN_MASS
    elif domain is not None:
        feature.ClearField(domain)


def _compare(feature: Any) -> None:
    """Asks for the drift of a column between spans: L-infinity for text, Jensen-Shannon for numbers."""
    if feature.name in NOT_COMPARED or feature.name.endswith("_age_days"):
        return
    if feature.type == BYTES:
        feature.drift_comparator.infinity_norm.threshold = TEXT_DRIFT
    else:
        threshold = LABEL_DRIFT if feature.name.startswith(LABEL_PREFIX) else NUMBER_DRIFT
        feature.drift_comparator.jensen_shannon_divergence.threshold = threshold


def _common(feature: Any) -> Any:
    return getattr(feature, feature.WhichOneof("stats")).common_stats


def _kinds(info: Any) -> Sequence[str]:
    return [type(info).Type.Name(reason.type) for reason in info.reason]


def _sentence(info: Any) -> str:
    return " ".join((info.description or info.short_description).split()).rstrip(".")

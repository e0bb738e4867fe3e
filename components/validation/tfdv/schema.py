"""The schema of every table: inferred once, stored as editable text, and compared with the statistics of later runs.

Writes `<store>/schema/<table>.pbtxt` with tolerances; larger deviations count as broken data. A stored schema is never
overwritten; columns that are new to it are appended. Runs in the TFDV environment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
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
NOT_SERVED = {"impressions": ("propensity", "session_id")}  # kuberec's servers never log these columns
OPEN_VOCABULARIES = ("surface",)  # an application may introduce new values at any time
KEPT_PRESENCE = 0.9
KNOWN_MASS = 0.9
TEXT_DRIFT = 0.1  # L-infinity
NUMBER_DRIFT = 0.03  # Jensen-Shannon; a rise of prices by 30 % gives about 0.05 at a log-sd of 0.5
LABEL_DRIFT = 0.005  # Jensen-Shannon; a change of a rate from 40 % to 49 %
NOT_COMPARED = ("event_id", "session_id", "request_id", "user_id", "timestamp_weekday")
TIMED_TABLES = ("interactions", "impressions")
HARMLESS = ("SCHEMA_NEW_COLUMN",)
LABEL_PREFIX = "label_"
BYTES = 1  # schema_pb2.FeatureType, whose module only the TFDV environment has

HEADER = """# The schema of '{table}', inferred from its first data. Data that does not fit the schema stops the run.
# You may edit this file: it is never overwritten; only columns seen for the first time are added at the end.
# Delete the file to infer the schema again.
#   presence.min_fraction: least share of rows with a value
#   distribution_constraints.min_domain_mass: least share of values within the domain
#   int_domain / float_domain {{ min max }}: bounds
#   drift_comparator: threshold of reported drift
"""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A column that does not fit the stored schema; `error` stops the run, `note` is only reported."""

    table: str
    column: str
    severity: str
    kind: str
    description: str


@contextmanager
def kept_schemas(store: str) -> Iterator[Path]:
    """The store's schema directory. For a remote store, a local copy whose changes are written back afterwards.

    Raises:
        StorageError: The store cannot be read or written; an unreadable schema is never inferred again.
        QualityError: The block raised it; the message names the store instead of the local copy.
    """
    folder = open_folder(f"{store.rstrip('/')}/{SCHEMA_FOLDER}")
    with folder.working_copy(SUFFIX) as copy:
        try:
            yield copy
        except QualityError as error:
            raise QualityError(str(error).replace(str(copy), folder.url)) from error


def schema_version(store: str) -> str:
    """Digest of the stored schemas, 16 hex digits: a cache key, so that an edited schema invalidates statistics."""
    digest = hashlib.sha256()
    with kept_schemas(store) as directory:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def keep_schema(table: str, statistics: Any, directory: Path) -> tuple[Any, bool]:
    """The stored schema of a table; inferred and written if it does not exist yet.

    Args:
        table: Name of the table.
        statistics: Statistics of the table; not empty.
        directory: Directory of the schemas.

    Returns:
        The Schema message, and whether it is new.

    Raises:
        QualityError: The file is not a valid schema any more.
    """
    path = directory / f"{table}{SUFFIX}"
    if path.is_file():
        return _load(path), False
    schema = infer(table, statistics)
    write_text(path, HEADER.format(table=table) + str(schema))
    return schema, True


def infer(table: str, statistics: Any) -> Any:
    """Infers a schema with tolerance for ordinary variation.

    A column may lose a tenth of its values, and a tenth of its values may be new, before the data counts as broken. Ids
    and free text have no domain; 0/1 is a domain only for labels and flags. Columns that the served log lacks may be
    missing, because the share of served rows grows every day.
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
    """The columns whose statistics do not fit the schema of a table."""
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
    """The columns that the schema contains."""
    return frozenset(feature.name for feature in schema.feature)


def without_columns(schema: Any, names: Collection[str]) -> Any:
    """A copy of a schema that says nothing about some columns."""
    kept = type(schema)()
    kept.CopyFrom(schema)
    features = [feature for feature in kept.feature if feature.name not in names]
    del kept.feature[:]
    kept.feature.extend(features)
    return kept


def append_columns(table: str, names: Iterable[str], statistics: Any, directory: Path) -> None:
    """Appends new columns to the file of a stored schema; existing text, including manual edits, stays unchanged."""
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
            f"{path} is not a valid schema ({' '.join(str(error).split())}): fix it, or delete it to infer it again."
        ) from error


def _loosen_domain(feature: Any) -> None:
    domain = feature.WhichOneof("domain_info")
    name = feature.name
    if domain == "bool_domain" and (name.startswith(LABEL_PREFIX) or name == "in_stock"):
        return
    if domain == "domain" and name not in (*IDENTIFIERS, *FREE_TEXT, *OPEN_VOCABULARIES):
        feature.distribution_constraints.min_domain_mass = KNOWN_MASS
    elif domain is not None:
        feature.ClearField(domain)


def _compare(feature: Any) -> None:
    """Sets the drift comparator of a column: L-infinity for text, Jensen-Shannon for numbers."""
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

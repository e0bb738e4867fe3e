"""Custom resource definitions as an API server reads them: structural schemas that refuse unknown fields.

They come from the folder KUBEREC_CRDS, by default ../shared/crds beside the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, read

FOLDER = Path(os.environ.get("KUBEREC_CRDS") or ROOT.parent / "shared" / "crds")
Schema = dict[str, Any]


@cache
def schema_of(api_version: str, kind: str) -> Schema | None:
    """The schema of a kind, None where no definition is there."""
    group, _, version = api_version.rpartition("/")
    for path in sorted(FOLDER.glob("*.yaml")):
        if f"group: {group}" not in path.read_text():
            continue
        for definition in read(path):
            spec = definition.get("spec", {})
            if definition["kind"] == "CustomResourceDefinition" and spec["names"]["kind"] == kind:
                (found,) = [one for one in spec["versions"] if one["name"] == version and one["served"]]
                schema: Schema = found["schema"]["openAPIV3Schema"]
                return schema
    return None


def faults(document: Document) -> list[str]:
    """What an API server with the definitions would refuse of a document.

    Raises:
        LookupError: There is no definition of its kind.
    """
    schema = schema_of(document["apiVersion"], document["kind"])
    if schema is None:
        raise LookupError(f"{FOLDER} has no definition of {document['kind']} in {document['apiVersion']}")
    strict = closed(schema, root=True)
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(strict).iter_errors(document)]
    return [*found, *repeated(schema, document, "$")]


def closed(schema: Schema, *, root: bool = False) -> Schema:
    """The schema with every object closed to fields it does not name, but where the definition leaves it open.

    Args:
        schema: An OpenAPI v3 schema of a definition.
        root: Whether it is a whole document: `metadata` is checked by the server and open here.
    """
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = closed(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = closed(schema["items"])
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and not is_open:
        made["additionalProperties"] = False
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        made["type"] = [schema["type"], "null"]
    if root:
        made["properties"]["metadata"] = {"type": "object"}
    return made


def repeated(schema: Schema, value: Any, path: str) -> Iterator[str]:
    """Entries of a list with keys (`x-kubernetes-list-map-keys`) that two have in common, which a server refuses."""
    if isinstance(value, dict):
        for name, part in value.items():
            below = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if isinstance(below, dict):
                yield from repeated(below, part, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        keys = schema.get("x-kubernetes-list-map-keys", [])
        defaults = {key: schema["items"]["properties"][key].get("default") for key in keys}
        seen = [tuple(entry.get(key, defaults[key]) for key in keys) for entry in value if keys]
        yield from (
            f"{path}: two entries with {keys} {one}" for one in sorted(set(seen), key=str) if seen.count(one) > 1
        )
        for place, part in enumerate(value):
            yield from repeated(schema["items"], part, f"{path}[{place}]")

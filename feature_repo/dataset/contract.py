"""The tables and columns of a dataset directory, with the names that all later steps use.

Defines the names, and how the values of a column are read. Ingest validates the files of a dataset against them.
"""

from __future__ import annotations

from collections.abc import Mapping

TABLES = ("interactions", "items", "users", "impressions")
TIMED_TABLES = ("interactions", "impressions")

# Contract name -> how a value is read. Ids and text accept whole numbers as their decimal text; `text!` is text only;
# `since` is a time whose far values stand for an unknown date.
CONTRACT_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "interactions": {
        "event_id": "id",
        "user_id": "id",
        "item_id": "id",
        "event_type": "text!",
        "timestamp": "time",
        "value": "number",
        "price": "number",
        "quantity": "number",
        "session_id": "id",
        "request_id": "id",
        "device": "text",
        "country": "text",
        "surface": "text",
    },
    "items": {
        "item_id": "id",
        "title": "text",
        "description": "text",
        "category": "text",
        "brand": "text",
        "seller_id": "id",
        "price": "number",
        "created_at": "since",
        "in_stock": "flag",
        "rating": "number",
        "num_ratings": "number",
        "regions": "regions",
        "min_age": "number",
        "valid_from": "time",
    },
    "users": {
        "user_id": "id",
        "country": "text",
        "age_group": "text",
        "gender": "text",
        "language": "text",
        "signup_at": "since",
        "valid_from": "time",
    },
    "impressions": {
        "request_id": "id",
        "user_id": "id",
        "item_id": "id",
        "timestamp": "time",
        "position": "position",
        "propensity": "propensity",
        "surface": "text",
        "session_id": "id",
        "device": "text",
        "country": "text",
    },
}
REQUIRED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "interactions": ("user_id", "item_id", "event_type", "timestamp"),
    "items": ("item_id",),
    "users": ("user_id",),
    "impressions": ("request_id", "user_id", "item_id", "timestamp"),
}
RESERVED_COLUMNS = ("row", "row_hash", "grade")

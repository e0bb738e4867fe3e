"""From a dataset directory (contract 1) to the prepared tables that every later step reads."""

from components.ingest.ingestion import ingest
from components.ingest.sources import dataset_fingerprint

__all__ = ["dataset_fingerprint", "ingest"]

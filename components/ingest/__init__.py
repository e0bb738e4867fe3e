"""Reads a dataset directory (contract 1) into the prepared tables that every later step uses."""

from components.ingest.ingestion import ingest
from components.ingest.sources import dataset_fingerprint

__all__ = ["dataset_fingerprint", "ingest"]

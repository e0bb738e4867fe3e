"""Reads a dataset (contract 1) into the prepared tables that every later step uses."""

from components.ingest.dataset_source import dataset_fingerprint, ingest

__all__ = ["dataset_fingerprint", "ingest"]

"""Live events: what users did since the snapshot, shared by all servers of a dataset."""

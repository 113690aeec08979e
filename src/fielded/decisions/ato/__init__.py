"""The authorization: its schedule, its controls and its documents, as values."""

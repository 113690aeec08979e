"""Releases: one verb a module. What they say to each other goes through the ledger (`record`)."""

from fielded.services.release.record import Lost, append, state_of

__all__ = ["Lost", "append", "state_of"]

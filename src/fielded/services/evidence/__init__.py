"""Collect evidence: one module for what is looked at, by doing it."""

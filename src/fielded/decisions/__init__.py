"""Decisions: no store, no model library, no clock. Values in, values out."""

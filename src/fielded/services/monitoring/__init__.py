"""Monitoring: one verb a module."""

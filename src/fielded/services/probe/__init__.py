"""Probes: scores that are made to see that scoring works, and that count nobody."""

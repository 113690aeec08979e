"""Collectors of the evidence that controls rest on: a configuration and a probe each, and what is refused."""

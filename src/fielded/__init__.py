"""fielded: a registered model, authorized, scored, audited, reversible and watched."""

__version__ = "0.1.0"

"""Human review: one verb a module."""

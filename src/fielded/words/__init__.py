"""Words every floor shares: errors, digests, identifiers."""

"""Human review: which scores a person decides, and what may follow what. No I/O, no clock."""

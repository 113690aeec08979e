"""Release: what may follow what, and what a candidate must show before it goes to production. No I/O, no clock."""

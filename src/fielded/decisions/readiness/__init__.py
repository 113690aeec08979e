"""The twelve items of readiness, as rules over values."""

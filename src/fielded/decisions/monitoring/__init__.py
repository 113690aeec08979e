"""Monitoring: what is measured of a window of rows, and when that is too much. No I/O, no clock."""

"""Values with their intervals, overall and by slice: what gates and monitors measure alike. No I/O, no clock."""

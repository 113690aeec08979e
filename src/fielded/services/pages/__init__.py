"""Pages and plots that are made here: self-contained, without script, under a strict policy."""

"""Programs that are handed out with an export and run without fielded: nothing here imports it."""

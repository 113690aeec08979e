"""The twelve-item checklist: collected, put on record, waived, shown."""

"""Services: one verb a function. They fetch, ask the decisions, and store."""

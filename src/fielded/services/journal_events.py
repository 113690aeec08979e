"""Kinds of event about journals: what a sealed ledger knows of rows that are not drained yet."""

JOURNAL_CLAIMED = "journal_claimed"
JOURNAL_CLOSED = "journal_closed"
JOURNAL_PUT_ASIDE = "journal_put_aside"

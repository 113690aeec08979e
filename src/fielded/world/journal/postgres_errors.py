"""What PostgreSQL says when something fails, in words that may be shown."""


def said(error: Exception) -> str:
    """A failure in words. A driver's own text may hold addresses and accounts, so only known phrases pass."""
    text = str(error).lower()
    reason = next((phrase for phrase in _PHRASES if phrase in text), type(error).__name__)
    state = getattr(error, "sqlstate", None)
    coded = f"{reason} (SQLSTATE {state})" if state else reason
    return f"journal: PostgreSQL: got {coded}, expected an answer. It goes on by itself once the server does"


_PHRASES = (
    "timeout expired",
    "connection refused",
    "password authentication failed",
    "no password supplied",
    "certificate verify failed",
    "server does not support ssl",
    "could not translate host name",
    "failed to resolve host",
    "the database system is starting up",
    "the database system is shutting down",
    "too many clients",
    "read-only transaction",
    "permission denied",
    "must be owner",
    "could not extend file",
    "no space left on device",
    "server closed the connection",
)

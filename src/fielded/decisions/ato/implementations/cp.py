"""Contingency planning and incident response: the way back."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_WAY_BACK = "rollback"

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "cp-10",
        does(
            "One command puts the previous version back, from bytes that the site holds itself; it is drilled "
            "on a copy of the site, under load, and measured.",
            _WAY_BACK,
        ),
        seen(
            "The previous version is {version}; it scored {rows} of its recorded rows again to the last bit.",
            version=f"{_WAY_BACK}#/facts/previous/version",
            rows=f"{_WAY_BACK}#/facts/replayed_now",
        ),
        evidence=(_WAY_BACK,),
        code=("services/release/rollback.py", "services/release/drill.py", "world/rehearsal.py"),
        tests=("services/release/test_rollback.py", "services/release/test_drill.py"),
        examine=("the runbook in the package", "event `release_drilled`"),
        interview=("model owner", "who runs the runbook"),
        left="Recovery of host, storage and platform, and of the ledger from its backup",
    ),
    implement(
        "ir-4",
        does(
            "A wrong model is contained by a rollback, with its reason on record; scores of the time are found "
            "by their version, and those that a person has to look at again lie in the queue.",
            _WAY_BACK,
            "review-path",
        ),
        seen("A rollback has to be done within {seconds} s.", seconds=f"{_WAY_BACK}#/facts/limit_seconds"),
        evidence=(_WAY_BACK, "review-path"),
        code=("services/release/rollback.py", "services/review/queue.py", "services/audit.py"),
        tests=("services/release/test_rollback.py", "services/evidence/test_review_path.py"),
        examine=("the runbook in the package", "events `rolled_back`"),
        interview=("incident response team", "model owner"),
        left="Preparation, reporting and coordination by the organization's incident response plan",
    ),
)

"""Audit and accountability: the ledger."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_RECORDS, _PROBE, _SEALED = "audit-records", "audit-probe", "audit-protection"
_LEDGER = ("the tables of predictions and events", "docs/ledger.md")
_VERIFY = "decisions/seal_rules.py"

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "au-2",
        does(
            "Every score that leaves, by batch or by the API, is a row of the ledger, and every act of a person "
            "or a machine about a model is an event; no score is given out before its row is durable.",
            _RECORDS,
            _PROBE,
        ),
        seen(
            "{rows} rows and {events} events of {kinds} kinds were looked at.",
            rows=f"{_RECORDS}#/facts/rows",
            events=f"{_RECORDS}#/facts/events",
            kinds=f"{_RECORDS}#/facts/kinds_seen",
        ),
        evidence=(_RECORDS, _PROBE),
        code=("world/ledger.py", "services/score_live.py", "services/score_day.py", "decisions/rows.py"),
        tests=("services/evidence/test_controls_records.py", "services/evidence/test_audit_probe.py"),
        examine=(*_LEDGER, "facts of the evidence `audit-records`: each kind of event and how often it occurred"),
        interview=("ISSO", "who reviews the audit log"),
        left="The rationale why these events suffice for the organization, and the events of operating system "
        "and platform",
    ),
    implement(
        "au-3",
        does(
            "A row says what was scored, when, by which channel, for whom, by which bytes of which model under "
            "which definition, and with what outcome; an event says what was done to what, when, by whom and in "
            "which order.",
            _RECORDS,
        ),
        does("Who asks comes from the credentials: a request's body cannot say so.", "identification"),
        seen(
            "Of {rows} rows and {events} events none lacks a part.",
            rows=f"{_RECORDS}#/facts/rows",
            events=f"{_RECORDS}#/facts/events",
        ),
        evidence=(_RECORDS, "identification"),
        code=("decisions/rows.py", "world/ledger.py", "world/identity/port.py"),
        tests=("services/evidence/test_controls_records.py", "decisions/test_rows.py"),
        examine=_LEDGER,
        interview=("ISSO",),
    ),
    implement(
        "au-5",
        does(
            "Where the journal cannot be written the API gives no score, says so, and counts it.", "audit-failure"
        ),
        seen(
            "With its journal gone, an API on a scratch site answered with status {status}.",
            status="audit-failure#/facts/status",
        ),
        evidence=("audit-failure", "alerts"),
        code=("services/score_live.py", "doors/serving/guard.py", "world/journal/__init__.py"),
        tests=("services/evidence/test_controls_api.py", "world/journal/test_journal_damage.py"),
        examine=("site.yaml, `notify`", "the alarms that the site has on the API's metrics"),
        interview=("who is told of an alarm",),
    ),
    implement(
        "au-6",
        does(
            "The watch looks at what was recorded each time it runs, reviews after a promotion are cases with "
            "an owner, and what somebody else did to the registry is an event that has to be answered.",
            "audit-review",
        ),
        seen(
            "The ledger was verified with {findings} findings; the watch ran {runs} times.",
            findings="audit-review#/facts/findings",
            runs="audit-review#/facts/runs",
        ),
        evidence=("audit-review", "release-reviews"),
        code=("services/monitoring/monitor.py", "services/verify.py", "services/release/observe.py"),
        tests=("services/evidence/test_controls_records.py", "services/monitoring/test_release_reviews.py"),
        examine=("reports of the watch", "closed reviews: `fielded monitor reviews`"),
        interview=("monitoring owner", "ISSO"),
        left="Reporting findings to those whom the organization names, and review of the platform's own logs",
    ),
    implement(
        "au-8",
        does("Every time is UTC, to the microsecond, from the clock of the host that writes.", _RECORDS),
        seen(
            "The kernel reckons its clock to be off by at most {seconds} s.",
            seconds="clock#/facts/most_wrong_seconds",
        ),
        evidence=(_RECORDS, "clock"),
        code=("decisions/rows.py", "world/host_state.py"),
        tests=("services/evidence/test_controls_records.py", "world/test_host_state.py"),
        examine=("how the host keeps its clock",),
        interview=("who keeps the host",),
    ),
    implement(
        "au-9",
        does(
            "Every commit of the ledger is a leaf of a Merkle tree whose checkpoints are signed; whatever is "
            "changed, deleted, inserted, reordered or cut off is found by computing all of it again. The tables "
            "themselves take nothing away.",
            _SEALED,
            _PROBE,
        ),
        seen(
            "{rows} rows were verified; of a scratch copy, an edited row gave {edited} findings and a deleted "
            "file {deleted}.",
            rows=f"{_PROBE}#/facts/rows",
            edited=f"{_PROBE}#/facts/scratch/edited",
            deleted=f"{_PROBE}#/facts/scratch/deleted",
        ),
        evidence=(_SEALED, _PROBE),
        code=("services/seal.py", "services/verify.py", _VERIFY, "world/keys.py"),
        tests=("services/evidence/test_controls_records.py", "services/test_verify_tampering.py"),
        examine=_LEDGER,
        interview=("who keeps the ledger", "who keeps the signing key"),
    ),
    implement(
        "au-9.2",
        does(
            "Every signed checkpoint is copied to a folder elsewhere, and a copy is never written over.",
            "audit-copies",
        ),
        seen("{copies} copies agree with the ledger.", copies="audit-copies#/facts/copies"),
        evidence=("audit-copies",),
        code=("world/checkpoint_copies.py", "services/seal.py"),
        tests=("services/evidence/test_controls_records.py", "services/test_verify_anchors.py"),
        examine=("where the copies lie, and who can write there",),
        interview=("who keeps the copies",),
        left="Keeping the rows themselves on another system, and write-once storage for the copies",
    ),
    implement(
        "au-9.3",
        does(
            "Integrity of the ledger rests on SHA-256 and on signatures of an approved kind, not on rights alone.",
            _SEALED,
            "keys",
        ),
        seen("The key that seals is of kind {algorithms}.", algorithms="keys#/facts/algorithms"),
        evidence=(_SEALED, "keys"),
        code=("decisions/merkle.py", "decisions/checkpoints.py", "world/keys.py"),
        tests=("decisions/test_merkle.py", "services/test_verify_tampering.py"),
        examine=("docs/ledger.md",),
        interview=("who keeps the signing key",),
    ),
    implement(
        "au-10",
        does(
            "A row and an event carry an authenticated identity and are sealed, and the caller of the API gets "
            "a receipt that names the row's place; neither side can deny it later.",
            "identification",
            _PROBE,
            _SEALED,
        ),
        seen(
            "Both probes were found by their subject and scored again to the last bit; {verified} rows were "
            "verified.",
            verified=f"{_PROBE}#/facts/rows",
        ),
        evidence=("identification", _PROBE, _SEALED),
        code=("services/replay.py", "services/export.py", "services/seal.py", "world/identity/port.py"),
        tests=("services/evidence/test_audit_probe.py", "services/test_replay.py"),
        examine=("an export with its proof: `fielded audit export`",),
        interview=("ISSO",),
        left="Binding an identity to a person, which is the identity provider's",
    ),
    implement(
        "au-11",
        does("No record is ever deleted, and nothing cleans a table's log up.", "audit-retention"),
        seen(
            "All versions of {tables} tables are there, the oldest event is of {oldest}.",
            tables="audit-retention#/facts/tables",
            oldest="audit-retention#/facts/oldest",
        ),
        evidence=("audit-retention", "retention-period"),
        code=("world/tables.py", "services/verify.py"),
        tests=("services/evidence/test_controls_records.py", "services/test_verify_tampering.py"),
        examine=("the definition, `ato.parameters`", "the organization's records schedule"),
        interview=("records officer",),
        left="The storage's own retention, and disposal at the end of a record's time",
    ),
    implement(
        "au-12",
        does(
            "Batch and API write the same rows by the same code, and both are seen to do so by a marked subject "
            "that is scored, found, replayed and verified.",
            _PROBE,
            _RECORDS,
        ),
        seen(
            "The batch probe took {batch} s from the question to the durable row, that of the API {api} s.",
            batch=f"{_PROBE}#/facts/batch/seconds",
            api=f"{_PROBE}#/facts/api/seconds",
        ),
        evidence=(_PROBE, _RECORDS),
        code=("services/score_day.py", "services/score_live.py", "services/drain.py", "services/probe/batch.py"),
        tests=("services/evidence/test_audit_probe.py", "services/test_drain.py"),
        examine=_LEDGER,
        interview=("ISSO",),
    ),
)

"""System and information integrity."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "si-2",
        does(
            "A wrong model is replaced by a promotion or taken back by a rollback, and both are drilled or "
            "gated before.",
            "rollback",
        ),
        does(
            "Flaws that the site's scanner found are counted, and open a weakness until they are gone.",
            "vulnerabilities",
        ),
        evidence=("rollback", "vulnerabilities"),
        code=(
            "services/release/rollback.py",
            "services/evidence/controls/vulnerabilities.py",
            "decisions/ato/weaknesses.py",
        ),
        tests=("services/release/test_rollback.py", "services/evidence/test_controls_plans.py"),
        examine=("the plan of action and milestones in the package",),
        interview=("who builds the image", "ISSO"),
        left="Correcting flaws of packages, image and host within the organization's times",
    ),
    implement(
        "si-4",
        does(
            "Inputs, scores and outcomes of the model are watched against numbers that were simulated before, "
            "what fires tells a named person, and refusals of the API are counted by their reason.",
            "retraining-trigger",
            "monitoring-owner",
            "logon-failures",
        ),
        evidence=("retraining-trigger", "monitoring-owner", "continuous-monitoring", "logon-failures"),
        code=("services/monitoring/monitor.py", "decisions/monitoring/triggers.py", "doors/serving/metrics.py"),
        tests=("services/monitoring/test_monitor_run.py", "services/evidence/test_evidence_retraining_trigger.py"),
        examine=("reports of the watch", "the API's metrics and the alarms on them"),
        interview=("monitoring owner",),
        left="Monitoring of host, network and platform for attacks",
    ),
    implement(
        "si-7",
        does(
            "Files of a model are hashed and compared with the approved digest before anything is unpickled, "
            "each time they are loaded.",
            "model-integrity",
        ),
        seen(
            "{files} files of fielded are as their record says.",
            files="software-integrity#/facts/files",
        ),
        evidence=("model-integrity", "software-integrity"),
        code=("world/artifacts.py", "services/approve.py", "words/digests.py"),
        tests=("world/test_artifacts.py", "services/evidence/test_controls_records.py"),
        examine=("event `artifact_approved`",),
        interview=("who keeps the host",),
        left="Integrity of firmware, host and image",
    ),
    implement(
        "si-7.1",
        does(
            "The digest is checked at every load, and the registry's files are looked at again while the "
            "service runs.",
            "model-integrity",
        ),
        seen("{tried} ways to give out other bytes were tried on a copy.", tried="model-integrity#/facts/tried"),
        evidence=("model-integrity",),
        code=("world/artifacts.py", "services/release/observe.py"),
        tests=("world/test_artifacts.py", "services/evidence/test_controls_records.py"),
        examine=("event `artifact_changed`, if there is one",),
        interview=("who keeps the host",),
    ),
    implement(
        "si-10",
        does(
            "A request is read by a form that is made from the definition's features: type, range and values of "
            "each; anything else is refused, field by field, and leaves no row. In batch such a row is set aside.",
            "input-validation",
        ),
        seen(
            "{refused} of {sent} malformed requests were refused.",
            refused="input-validation#/facts/refused",
            sent="input-validation#/facts/sent",
        ),
        evidence=("input-validation",),
        code=("doors/serving/request_model.py", "decisions/rules.py"),
        tests=("services/evidence/test_controls_api.py", "doors/serving/test_serving_request_model.py"),
        examine=("the definition, `features`", "facts of the evidence `input-validation`: every kind of request"),
        interview=("model owner",),
    ),
    implement(
        "si-11",
        does(
            "An answer to a wrong request says which field is wrong and what was expected, with a request id "
            "for the log; it shows nothing of what was sent, no stack and no name of the machine.",
            "error-handling",
        ),
        seen("{answers} such answers were looked at.", answers="error-handling#/facts/answers"),
        evidence=("error-handling",),
        code=("doors/serving/problems.py", "doors/serving/guard.py", "words/errors.py"),
        tests=("services/evidence/test_controls_api.py", "doors/serving/test_serving_attacks.py"),
        examine=("facts of the evidence `error-handling`: every kind of request and the statuses",),
        interview=("who reads the API's log",),
    ),
)

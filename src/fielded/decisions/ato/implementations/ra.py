"""Planning and risk assessment."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "pl-2",
        does(
            "The system security plan is written from the definition, the site and the evidence, with an answer "
            "for every control that is asked for; nobody edits it.",
            "system-plan",
        ),
        seen(
            "Of {controls} controls {unassigned} have nobody who answers for them.",
            controls="system-plan#/facts/controls",
            unassigned="system-plan#/facts/unassigned",
        ),
        evidence=("system-plan",),
        code=("services/ato/assurance.py", "decisions/ato/origins.py"),
        tests=("services/evidence/test_controls_plans.py", "decisions/ato/test_origins.py"),
        examine=("the system security plan in the package",),
        interview=("ISSO", "authorizing official"),
        left="Review and approval of the plan",
    ),
    implement(
        "ra-3",
        does(
            "Risks of the model are assessed with numbers (errors and their cost at the threshold, by group) "
            "and by the people who answer for them, in an assessment that ends when model, data or context "
            "change.",
            "rai-assessment",
            "threshold",
            "evaluation",
        ),
        evidence=("rai-assessment", "threshold", "evaluation"),
        code=(
            "services/evidence/rai_assessment.py",
            "services/evidence/threshold.py",
            "services/evidence/evaluation.py",
        ),
        tests=("services/evidence/test_evidence_documents.py",),
        examine=("the RAI assessment and the model card in the package",),
        interview=("RAI approver", "model owner"),
        left="The risk assessment of the system as a whole",
    ),
    implement(
        "ra-5",
        does(
            "What the site's scanner found is read from its report, and counted by severity; a report that is "
            "missing or too old is said to be so.",
            "vulnerabilities",
        ),
        seen(
            "The report of {date} has {findings} findings, of which {serious} are critical, high, or of no "
            "severity that it tells.",
            date="vulnerabilities#/facts/date",
            findings="vulnerabilities#/facts/findings",
            serious="vulnerabilities#/facts/serious",
        ),
        evidence=("vulnerabilities",),
        code=("services/evidence/controls/vulnerabilities.py", "world/vulnerability_reports.py"),
        tests=("services/evidence/test_controls_plans.py", "world/test_vulnerability_reports.py"),
        examine=("the scanner's report",),
        interview=("who builds the image",),
        left="Scanning the image and the host, and deciding what is done about a finding",
    ),
)

"""Assessment, authorization and monitoring; planning; risk assessment."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "ca-5",
        does(
            "Every check that did not hold or could not be made opens a weakness by itself, with its owner, the "
            "day it was first seen and the next step; it is closed by the check holding again, never by hand.",
            "poam",
        ),
        seen(
            "Of {checks} checks on record {open} do not hold; {weaknesses} weaknesses are open.",
            checks="poam#/facts/checks",
            open="poam#/facts/not_held",
            weaknesses="poam#/facts/weaknesses",
        ),
        evidence=("poam",),
        code=("decisions/ato/weaknesses.py", "services/ato/assurance.py"),
        tests=("services/evidence/test_controls_plans.py",),
        examine=("the plan of action and milestones in the package",),
        interview=("ISSO",),
        left="Deciding on milestones and resources, and accepting a risk",
    ),
    implement(
        "ca-7",
        does(
            "What is in production is watched by metrics with numbers, reviewed after its promotion, and every "
            "evidence has a time after which it counts no more.",
            "continuous-monitoring",
        ),
        seen(
            "{current} of {collected} evidences on record are current; the watch ran last on {ran}.",
            current="continuous-monitoring#/facts/current",
            collected="continuous-monitoring#/facts/collected",
            ran="continuous-monitoring#/facts/last_run",
        ),
        evidence=("continuous-monitoring", "retraining-trigger", "release-reviews", "monitoring-owner"),
        code=("services/monitoring/monitor.py", "services/ato/status.py", "services/evidence/collect.py"),
        tests=("services/evidence/test_controls_plans.py", "services/monitoring/test_monitor_run.py"),
        examine=("the continuous monitoring plan in the package", "reports of the watch"),
        interview=("monitoring owner", "ISSO"),
        left="Monitoring of what is not the model's, by the organization's strategy",
    ),
)

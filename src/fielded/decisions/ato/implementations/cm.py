"""Configuration management."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_CHANGE, _CONFIGURATION, _INVENTORY = "change-control", "configuration", "inventory"
_RELEASE = ("services/release/promote.py", "decisions/release/state.py", "decisions/release/rules.py")
_EVENTS = ("release events: `fielded release history`",)

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "cm-2",
        does(
            "The baseline is the definition, under its digest and with its whole text on record, together with "
            "the digest of the approved model's files and the site's parts.",
            _CONFIGURATION,
        ),
        seen(
            "The definition that is loaded has digest {sha256}, in {tool}.",
            sha256=f"{_CONFIGURATION}#/facts/definition_sha256",
            tool=f"{_CONFIGURATION}#/facts/tool",
        ),
        evidence=(_CONFIGURATION, "model-integrity"),
        code=("services/record_definition.py", "definition/loading.py", "services/ato/site_parts.py"),
        tests=("services/evidence/test_controls_records.py", "definition/test_loading.py"),
        examine=("events `definition_recorded` and `site_recorded`",),
        interview=("model owner",),
        left="The baseline of the host, the image and the platform",
    ),
    implement(
        "cm-3",
        does(
            "A version comes into production only by a proposal, a comparison with what is there, approvals of "
            "others, and a promotion that checks all of them again; each is an event.",
            _CHANGE,
        ),
        seen(
            "{events} release events are on record.",
            events=f"{_CHANGE}#/facts/events",
        ),
        evidence=(_CHANGE,),
        code=_RELEASE,
        tests=("services/evidence/test_controls_records.py", "services/release/test_promote.py"),
        examine=_EVENTS,
        interview=("model owner", "who approves releases"),
        left="Change control of the host, the image and the platform",
    ),
    implement(
        "cm-3.2",
        does(
            "Before a promotion the candidate and what is in production are compared on the same rows by the "
            "gates of the definition, and the comparison is bound to the digest of the candidate's files.",
            _CHANGE,
        ),
        evidence=(_CHANGE, "evaluation"),
        code=("services/release/compare.py", "decisions/release/rules.py"),
        tests=("services/release/test_compare.py", "services/release/test_compare_gates.py"),
        examine=("reports of comparisons", *_EVENTS),
        interview=("model owner",),
        left="Tests of changes to the host, the image and the platform",
    ),
    implement(
        "cm-5",
        does(
            "Who may release is named by the site; anybody else is refused, and an alias that somebody moves in "
            "the registry puts nothing into production, but is noticed and put on record.",
            _CHANGE,
            "accounts",
        ),
        seen("{tried} ways around it were tried on a scratch site.", tried=f"{_CHANGE}#/facts/tried"),
        evidence=(_CHANGE, "accounts"),
        code=("services/authority.py", "services/release/observe.py", *_RELEASE),
        tests=("services/evidence/test_controls_records.py", "services/release/test_ledger_meddled_with.py"),
        examine=("site.yaml, `roles`", *_EVENTS),
        interview=("who keeps site.yaml", "who keeps the registry"),
        left="Access to the registry, the host and the image for those who could change them there",
    ),
    implement(
        "cm-6",
        does(
            "A setting that nobody knows, a value out of its range, and what a production site must not have "
            "are refused when they are read, with file and line.",
            _CONFIGURATION,
        ),
        seen("The site is a {environment} site.", environment="environment#/facts/environment"),
        evidence=(_CONFIGURATION, "environment"),
        code=("definition/site.py", "definition/reading.py", "definition/consistency.py"),
        tests=("services/evidence/test_controls_records.py", "definition/test_site.py"),
        examine=("site.yaml and deployment.yaml", "docs/site.md"),
        interview=("who keeps site.yaml",),
        left="Settings of the host, the image and the platform by their guides (STIG)",
    ),
    implement(
        "cm-8",
        does(
            "Every installed package, the model with its digest, the tables and the endpoints are listed as "
            "they are found.",
            _INVENTORY,
        ),
        seen(
            "{distributions} packages are installed under Python {python}.",
            distributions=f"{_INVENTORY}#/facts/count",
            python=f"{_INVENTORY}#/facts/python",
        ),
        evidence=(_INVENTORY,),
        code=("services/evidence/controls/inventory.py",),
        tests=("services/evidence/test_controls_plans.py",),
        examine=("facts of the evidence `inventory`",),
        interview=("who builds the image",),
        left="Inventory of hosts, images and the platform's components",
    ),
)

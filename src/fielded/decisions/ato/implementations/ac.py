"""Access control: who may do what, at the API and at the command line."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_MATRIX, _ACCOUNTS, _CHANGE = "access-enforcement", "accounts", "change-control"
_ASKED = ("ISSO", "who keeps site.yaml")

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "ac-2",
        does(
            "Who has which role is written in the site's configuration, for the command line, and granted by "
            "groups of the identity provider or by certificates, for the API; whoever has no role there has none.",
            _ACCOUNTS,
        ),
        does(
            "A role that is taken out of it is gone at the next act, and the roles of now are on record.",
            _ACCOUNTS,
        ),
        seen(
            "Here {count} identities and groups have roles; {without_act} of those of the command line have not "
            "acted yet.",
            count=f"{_ACCOUNTS}#/facts/count",
            without_act=f"{_ACCOUNTS}#/facts/without_act",
        ),
        evidence=(_ACCOUNTS,),
        code=(
            "services/authority.py",
            "definition/serving.py",
            "world/identity/oidc.py",
            "services/ato/site_parts.py",
        ),
        tests=("services/evidence/test_controls_records.py", "services/release/test_candidates.py"),
        examine=(
            "facts of the evidence `accounts`: identities, their roles, how often they acted",
            "site.yaml, `roles`",
        ),
        interview=_ASKED,
        left="Making, reviewing and ending accounts at the identity provider, and conditions for belonging to a "
        "group",
    ),
    implement(
        "ac-3",
        does(
            "Every operation of the API names the role that it needs, and the guard lets nobody pass without "
            "it; what has no route is refused.",
            _MATRIX,
        ),
        does(
            "Acts at the command line ask for their role in the service that does them, not in the command.",
            _ACCOUNTS,
        ),
        seen(
            "{questions} questions were asked of {operations} operations by each role and by nobody known: "
            "{allowed} had to be let in and {refused} to be refused.",
            questions=f"{_MATRIX}#/facts/questions",
            operations=f"{_MATRIX}#/facts/operations",
            allowed=f"{_MATRIX}#/facts/allowed",
            refused=f"{_MATRIX}#/facts/refused",
        ),
        evidence=(_MATRIX, _ACCOUNTS),
        code=("doors/serving/guard.py", "doors/serving/routes.py", "services/authority.py"),
        tests=("services/evidence/test_controls_api.py", "doors/serving/test_serving_door.py"),
        examine=("facts of the evidence `access-enforcement`: the whole matrix with every status",),
        interview=_ASKED,
    ),
    implement(
        "ac-5",
        does(
            "Who proposes a version cannot approve it, waive a finding about it or set aside an item of "
            "readiness; the ledger itself refuses a promotion that nobody else approved.",
            _CHANGE,
        ),
        seen(
            "What is in production has {approvals} approvals of others than its proposer; the definition asks "
            "for {asked}.",
            approvals=f"{_CHANGE}#/facts/approvals",
            asked=f"{_CHANGE}#/facts/approvals_asked",
        ),
        evidence=(_CHANGE,),
        code=("decisions/release/state.py", "services/release/candidates.py", "services/readiness/waive.py"),
        tests=("services/evidence/test_controls_records.py", "services/release/test_candidates.py"),
        examine=("events `release_proposed` and `release_approved`: `fielded release history`",),
        interview=("model owner", "ISSO"),
    ),
    implement(
        "ac-6",
        does(
            "There are four roles (score, review, audit, release), each for one kind of work, and none contains "
            "another.",
            _MATRIX,
            _ACCOUNTS,
        ),
        seen(
            "Of the identities and groups here, {release} may release and {review} may decide cases.",
            release=f"{_ACCOUNTS}#/facts/by_role/release",
            review=f"{_ACCOUNTS}#/facts/by_role/review",
        ),
        evidence=(_ACCOUNTS, _MATRIX),
        code=("definition/serving.py", "services/authority.py", "doors/serving/guard.py"),
        tests=("services/evidence/test_controls_records.py", "services/evidence/test_controls_api.py"),
        examine=("site.yaml, `roles` and `identity`",),
        interview=_ASKED,
        left="Least privilege of the process, its files, its database and its cloud roles",
    ),
    implement(
        "ac-6.9",
        does(
            "Every privileged act is an event with its actor and the roles that they had, sealed with the rest.",
            "audit-records",
        ),
        seen(
            "{events} events of {kinds} kinds by {actors} identities are on record.",
            events="audit-records#/facts/events",
            kinds="audit-records#/facts/kinds_seen",
            actors="audit-records#/facts/actors",
        ),
        evidence=("audit-records",),
        code=("world/ledger.py", "services/release/record.py"),
        tests=("services/evidence/test_controls_records.py", "services/release/test_candidates.py"),
        examine=("the table of events, and `fielded release history`",),
        interview=("ISSO",),
    ),
    implement(
        "ac-7",
        does(
            "Every attempt with credentials that are not believed is refused, counted by its reason and logged.",
            "logon-failures",
        ),
        seen(
            "Of {attempts} attempts with a made-up token {counted} were counted.",
            attempts="logon-failures#/facts/attempts",
            counted="logon-failures#/facts/counted",
        ),
        evidence=("logon-failures", "account-lockout"),
        code=("doors/serving/guard.py", "doors/serving/metrics.py", "world/identity/port.py"),
        tests=("services/evidence/test_controls_api.py", "doors/serving/test_serving_logs.py"),
        examine=("the API's metrics: fielded_refusals_total by reason",),
        interview=("who keeps the identity provider",),
        left="Locking an account after too many attempts, which is the identity provider's, for fielded has no "
        "passwords",
    ),
)

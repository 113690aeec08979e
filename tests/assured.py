"""Values of a package, made by hand: controls of every origin, evidence of every outcome, one weakness."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from fielded.decisions.assurance.controls import Assurance, ControlRecord, Procedure, Weakness
from fielded.decisions.assurance.documents import Document, Paragraph, Section
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.assurance.statements import Attested, Sources, Statement, said_by

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)


def evidence(key: str, outcome: str = "held", facts: dict[str, object] | None = None) -> Evidence:
    check = Check(name="asked", outcome=outcome, got="it", expected="it", step="Mend it")  # type: ignore[arg-type]
    return Evidence(
        id=key,
        title=f"Look at {key}",
        checks=(check,),
        facts=facts or {},
        command=f"fielded ato collect --id {key}",
        tool="fielded 0.1.0",
        by="os:ada",
        at=AS_OF,
        scope={"deployment": "overrun", "definition_sha256": "d" * 64},
        valid_until=AS_OF + timedelta(days=30),
    )


FEDRAMP = {
    "package_id": "FR0000000000",
    "provider": "Example Provider",
    "service": "Example Service",
    "acronym": "EX",
    "website": "https://example.gov/service",
    "logo": "https://example.gov/logo.png",
    "overview_uri": "https://example.gov/overview.json",
    "certification": "Rev5",
    "service_types": ["SaaS"],
    "deployment_model": "Government-Only Cloud",
    "contacts": [
        {"kind": "Security", "name": "Security desk", "email": "security@example.gov", "phone": "202-555-0123"},
        {"kind": "Sales", "name": "Service desk", "email": "service@example.gov", "phone": ""},
    ],
    "requirements": {"VDR-CSO-DET": "The provider's scanner runs each night"},
}


def assurance(*, fedramp: bool = True, said: str = "Self-approval is refused.") -> Assurance:
    kept = {
        "separation": evidence("separation", facts={"attempts": 3}),
        "identity": evidence("identity", "failed"),
        "transport": evidence("transport", "not checked"),
        "inventory": evidence(
            "inventory",
            facts={"distributions": [{"name": "numpy", "version": "2.3.1"}, {"name": "pyarrow", "version": "21"}]},
        ),
    }
    sources = Sources.of(kept.values(), AS_OF, {"definition": {"name": "overrun"}, "site": {}})
    sentence = sources.say(Statement(template=said, rests_on=("separation",)))
    counted = sources.say(
        Statement(
            template="{attempts} attempts were refused.", references={"attempts": "separation#/facts/attempts"}
        )
    )

    def record(key: str, origin: str, result: str, **more: object) -> ControlRecord:
        return ControlRecord(
            id=key,
            title=f"Title of {key}",
            family=key[:2],
            in_baseline=key != "sr-4",
            origin=origin,  # type: ignore[arg-type]
            result=result,
            **more,  # type: ignore[arg-type]
        )

    return Assurance(
        as_of=AS_OF,
        definition={
            "name": "overrun",
            "purpose": "Flag open work orders that are likely to overrun.",
            "people": {
                role: {"name": "Alex Example", "email": "alex.example@example.mil"}
                for role in ("model_owner", "monitoring_owner", "rai_approver", "authorizing_official", "isso")
            },
            "ato": {
                "categorization": {"confidentiality": "moderate", "integrity": "moderate", "availability": "low"},
                "impact_level": "IL4",
                "chosen": "nist-moderate",
                "cui": [],
            },
        },
        site={
            "system": "Maintenance analytics",
            "ports": ["tcp/8443"],
            "platforms": [
                {"name": "Hosting", "authorization": "PA-0001", "level": "IL4", "expires": "2027-06-30"}
            ],
            **({"fedramp": FEDRAMP} if fedramp else {}),
        },
        evidence=kept,
        controls=(
            record(
                "ac-5",
                "implemented",
                "satisfied",
                said=(sentence, counted),
                evidence=("separation",),
                component="fielded",
                code=("src/fielded/services/release/candidates.py",),
                tests=("tests/doors/test_cli_release.py",),
                procedure=Procedure(
                    examine=("release history",), interview=("model owner",), test=("fielded release history",)
                ),
            ),
            record(
                "ia-2",
                "implemented",
                "not satisfied",
                said=(sentence,),
                evidence=("identity",),
                component="fielded",
            ),
            record("pe-1", "inherited", "not checked", component="Hosting", provider="Hosting (PA-0001, IL4)"),
            record("pl-2", "unassigned", "not checked"),
            record(
                "sc-8",
                "shared",
                "not checked",
                evidence=("transport",),
                component="fielded",
                provider="Hosting (PA-0001, IL4)",
            ),
            record("ac-18", "not applicable", "not checked", reason="There is no wireless access to it"),
            record(
                "sr-4",
                "implemented",
                "satisfied",
                said=(sentence,),
                evidence=("separation",),
                component="fielded",
                reason="The program asks for it",
            ),
        ),
        weaknesses=(
            Weakness(
                id="w-1",
                title="A token without a signature is taken",
                found="got a score, expected 401",
                controls=("ia-2",),
                evidence=("identity",),
                step="Set identity.oidc",
                since=date(2026, 3, 1),
                due=date(2026, 4, 1),
                owner="isso",
            ),
        ),
        items=(),
        limits=(),
        documents={},
    )


AWKWARD = "Asks <b>who</b> {{ insert: param, x }}\nand \x07 *when*"


def wide() -> Assurance:
    """All of `assurance`, and what is rarer: a person's word, an organization, evidence that nobody collected, a
    control of another catalog, a weakness without a day, two parameters, a document, and text that is no markup.
    """
    made = assurance()
    word = said_by(Attested(text=AWKWARD, author="Alex Example", date="2026-02-01"))
    told = replace(evidence("told", facts={"said": AWKWARD}), attested_by="Alex Example", valid_until=None)
    model = replace(
        evidence("audit-probe"),
        scope={"deployment": "overrun", "model_version": "3", "artifact_sha256": "a" * 64},
        checks=(Check.of("edited row is found", holds=True, got="found", expected="found", negative=True),),
    )
    base = {"in_baseline": True, "said": (word,)}
    more = (
        ControlRecord(
            id="at-2", title="Literacy Training", family="at", origin="organization", result="not checked",
            component="organization", provider="Training office", **base,
        ),
        ControlRecord(
            id="ca-7", title="Continuous Monitoring", family="ca", origin="implemented", result="attested",
            component="fielded", evidence=("told",), **base,
        ),
        ControlRecord(
            id="au-10", title="Non-repudiation", family="au", origin="shared", result="not checked",
            component="fielded", provider="Records office", evidence=("audit-probe", "never-collected"), **base,
        ),
        ControlRecord(
            id="zz-1", title="Of another catalog", family="zz", origin="implemented", result="satisfied",
            component="fielded", evidence=("separation",), in_baseline=False, said=(word,), reason=AWKWARD,
        ),
    )  # fmt: skip
    dayless = replace(
        made.weaknesses[0],
        id="w-2",
        title=AWKWARD,
        controls=(),
        evidence=("transport", "never-collected"),
        due=None,
    )
    definition = {
        **made.definition,
        "purpose": AWKWARD,
        "sha256": "d" * 64,
        "ato": {
            **made.definition["ato"],
            "cui": ["Export controlled"],
            "parameters": {
                "ac-05_odp": "release and approval",
                "ac-02_odp.05": "30 days\nat most",
                "xx-01_odp": "x",
            },
        },
    }
    paper = Document(
        name="data_flow",
        title="Data flow",
        as_of=AS_OF,
        sections=(Section(number="", title="Limits", blocks=(Paragraph((word,)),)),),
    )
    return replace(
        made,
        definition=definition,
        evidence={**made.evidence, "told": told, "audit-probe": model},
        controls=(*made.controls, *more),
        weaknesses=(*made.weaknesses, dayless),
        documents={"data_flow": paper},
    )

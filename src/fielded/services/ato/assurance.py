"""All that a package says, from the ledger, the definition and the site: one model behind every face.

1. The last evidence of each id counts, for the scope that is now: this definition, the model bytes in production.
   It counts no longer than its own time and than the definition lets a package cite it.
2. The package is as of its newest evidence, not of the moment in which somebody builds it: nothing on record
   since, nothing changed in definition and site, and it has the same bytes.
3. Readiness is judged as of that moment, from what is on record; nothing is collected here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fielded.decisions.assurance.controls import Assurance
from fielded.decisions.assurance.evidence import COLLECTED, Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.decisions.ato.origins import control_records, gaps
from fielded.decisions.ato.weaknesses import weaknesses_of
from fielded.decisions.readiness.items import ITEMS, judge
from fielded.services.ato.additions import additions_of
from fielded.services.ato.cover import COVER, PACKAGE, counts_of, cover
from fielded.services.documents.every import documents_of, prose_of
from fielded.services.documents.values import definition_values, site_values, sources_of
from fielded.services.evidence.collect import of_this, on_record, scope_of
from fielded.services.readiness.waive import waivers_that_count
from fielded.services.release.record import about, state_of
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a package is built of.

    Attributes:
        assurance: all that it says.
        recorded: evidence as it is on record, by id.
        scope: that it counts for.
    """

    assurance: Assurance
    recorded: Mapping[str, Evidence]
    scope: Mapping[str, str]


def assemble(workplace: Workplace) -> Assembled:
    """Read everything.

    Raises:
        Refused: no evidence is on record, or the ledger's events break a rule.
        DefinitionError: a file that people write in is missing or wrong.
        WrongUse: a file of the site's authorization is.
        Unreachable: the ledger.
    """
    recorded = on_record(workplace)
    if not recorded:
        raise Refused(
            "package: got no evidence on record, expected some. Run `fielded ready` and `fielded ato collect`"
        )
    scope, deployment, site = scope_of(workplace), workplace.deployment, workplace.site
    as_of = max(one.at for one in recorded.values())
    longest = timedelta(days=deployment.ato.report_max_age_days)
    counting = {key: counted(one, scope, longest) for key, one in sorted(recorded.items())}
    plain = {"definition": definition_values(deployment), "site": site_values(site)}
    sources = sources_of(counting.values(), as_of, plain["definition"], plain["site"])
    additions = additions_of(site.authorization)
    records = control_records(deployment.ato, site.authorization, additions, counting, sources, as_of.date())
    weak = weaknesses_of(
        _history(workplace), counting, records,
        gaps(deployment.ato, site.authorization, additions, records, as_of.date()),
        as_of.date(), deployment.ato.mend_days,
    )  # fmt: skip
    items = _items(workplace, counting, as_of)
    plain[PACKAGE] = counts_of(counting, records, weak, items, as_of)
    whole = with_package(sources, plain[PACKAGE])
    page_one = cover(whole, as_of)
    documents = {COVER: page_one, **documents_of(sources, prose_of(deployment), as_of)}
    assurance = Assurance(
        as_of=as_of,
        definition=plain["definition"],
        site=plain["site"],
        evidence=counting,
        controls=records,
        weaknesses=weak,
        items=items,
        limits=tuple(page_one.sections[0].sentences()),
        documents=documents,
        plain=plain,
        recorded={key: one.sha256 for key, one in sorted(recorded.items())},
    )
    return Assembled(assurance, recorded, scope)


def with_package(sources: Sources, package: Mapping[str, Any]) -> Sources:
    """Sources with what the package counts of itself."""
    return replace(sources, documents={**sources.documents, PACKAGE: package})


def counted(evidence: Evidence, scope: Mapping[str, str], longest: timedelta) -> Evidence:
    """Rule 1."""
    end = evidence.at + longest
    until = end if evidence.valid_until is None else min(evidence.valid_until, end)
    return replace(of_this(evidence, scope), valid_until=until)


def _history(workplace: Workplace) -> list[Evidence]:
    """All evidence on record, oldest first; `on_record` has looked at each digest."""
    return [Evidence.read(event["details"]) for event in workplace.ledger.events_of(COLLECTED, about(workplace))]


def _items(
    workplace: Workplace, counting: Mapping[str, Evidence], as_of: datetime
) -> tuple[Mapping[str, Any], ...]:
    """Rule 3."""
    state = state_of(workplace)
    model = "" if state.production is None else state.production.sha256
    judged = judge(ITEMS, counting, waivers_that_count(workplace, state), model, as_of)
    return tuple({**one.brief(), "controls": list(one.item.controls)} for one in judged)

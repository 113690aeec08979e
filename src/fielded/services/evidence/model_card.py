"""Evidence that the model card is complete: all nine sections, evidenced, written, dated and signed (item 2).

1. The card is made here and now, from the definition and the evidence on record. Each of its nine sections says
   something that is evidenced or that a person wrote; people wrote at least in those that no machine can fill
   (`WRITTEN`).
2. None of its sentences is without evidence; what is missing of another item is told there.
3. Its last section names the person who watches and a trigger, a metric with a number.
4. What people wrote, and their signature: see `services.evidence.signed`.
"""

from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.documents import Document
from fielded.decisions.assurance.evidence import Check
from fielded.services.documents.model_card import NAME, SECTIONS, model_card
from fielded.services.documents.monitoring_parts import TRIGGERS
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.signed import (
    Written,
    all_evidenced,
    of_other_items,
    parts_without,
    proposer_of,
    signature_facts,
    sources_now,
    standing_signature,
    stands,
    written,
)
from fielded.services.release.record import state_of
from fielded.world.workplace import Workplace

ID = "model-card"
WRITTEN = ("intended_use", "out_of_scope", "fairness", "limitations")

_WATCH = "Monitoring plan"


def look(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        FieldedError: the ledger's events break a rule, or it or the registry cannot be read.
    """
    workplace = bench.workplace
    document = written(workplace, NAME)
    sources = sources_now(workplace)
    elsewhere = of_other_items(sources, ID)
    card = model_card(sources, document.prose, workplace.clock())
    state = state_of(workplace)
    signed, _, about_it = standing_signature(
        workplace, document, state.production, proposer_of(state, state.production)
    )
    checks = (
        *document.checks,
        _sections(card, document, elsewhere),
        _by_people(document),
        all_evidenced(card, elsewhere, ID),
        _names_the_watch(workplace, card, elsewhere),
        *about_it,
    )
    counts = card.counts()
    facts = {
        **document.facts(),
        "sections": len(SECTIONS),
        "sentences": {"all": sum(counts.values()), **{name.replace(" ", "_"): n for name, n in counts.items()}},
        "signature": signature_facts(signed),
    }
    return Found(checks, facts)


def _sections(card: Document, document: Written, elsewhere: frozenset[str]) -> Check:
    """Rule 1."""
    by_title = {section.title: section for section in card.sections}
    empty = [
        part for part, title in SECTIONS if not any(stands(one, elsewhere) for one in by_title[title].sentences())
    ]
    return Check.of(
        "each of the nine sections says something",
        not empty,
        got=parts_without([part for part, _ in SECTIONS], empty),
        expected="every section has a sentence that is evidenced or that a person wrote",
        step=f"Write under these names in {document.file or 'the file'}, or collect the evidence: `fielded ready`",
    )


def _by_people(document: Written) -> Check:
    """Rule 1."""
    told = () if document.prose is None else document.prose.sections
    lacking = [part for part in WRITTEN if part not in told]
    return Check.of(
        "people wrote what no machine can know",
        not lacking,
        got=parts_without(WRITTEN, lacking),
        expected=f"a passage with author and date under each of: {', '.join(WRITTEN)}",
        step=f"Write them in {document.file or 'the file'} (docs/documents.md)",
    )


def _names_the_watch(workplace: Workplace, card: Document, elsewhere: frozenset[str]) -> Check:
    """Rule 3. Where there is no such trigger, the item on triggers says so."""
    watch = next(section for section in card.sections if section.title == _WATCH)
    told = [one.text for one in watch.sentences() if one.state == "evidenced"]
    person = workplace.deployment.people.monitoring_owner.name
    asks = [one for one in workplace.deployment.monitoring.triggers if "open_retraining_request" in one.then]
    named = any(person in text for text in told)
    triggers = [one.id for one in asks if one.id in told and one.metric in told]
    return Check.of(
        "the monitoring plan names the person and the trigger",
        named and (bool(triggers) or TRIGGERS in elsewhere),
        got=f"{person if named else 'nobody'}; {', '.join(triggers) or 'no trigger'}",
        expected="the monitoring owner by name, and a trigger with its metric and number",
        step="Collect what it is made from: `fielded ready --item 9 --item 10`, then this again",
    )


COLLECTOR = Collector[Bench](
    id=ID,
    title="The model card is complete in all nine sections, evidenced and signed",
    look=look,
    holds_for=timedelta(days=7),
    expected="nine sections, each with evidence or a person's words, and a signature for what is in production",
)

"""Who answers for each control, and with what result: rules over the definition, the site and the evidence.

1. Looked at are the controls of the chosen baseline, those tailored in, and those that a file of the site adds.
   None is left out.
2. What the definition says does not apply is "not applicable", with its reason.
3. What fielded does is "implemented". It is "shared" where something of it is left to others, or where a platform
   or the organization has a part in it besides.
4. Else a platform's share makes it "shared", a platform that inherits it to the system "inherited", and somebody
   in the organization "organization", in this order. A control by its name goes before one by its family
   (`pe-*`).
5. What nobody answers for is "unassigned", and counted.
6. The result is of the evidence: satisfied only if all of it holds, is current and of this scope; not satisfied
   if any of it does not hold. Evidence that was not collected, could not be checked, or is over makes it "not
   checked".
7. Of a shared control only fielded's part is seen here. Where nobody is named for the rest, it is "not checked"
   however good the part is. Inherited and organizational controls are "not checked": whoever answers for them has
   the evidence.
8. What rests on a platform whose authorization is over is "not satisfied".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from fielded.decisions.assurance.controls import ControlRecord, Origin
from fielded.decisions.assurance.evidence import Evidence, Outcome
from fielded.decisions.assurance.statements import Said, Sources, Statement
from fielded.decisions.ato.baselines import baseline, controls, name_of, order_of
from fielded.decisions.ato.implementations import IMPLEMENTATIONS
from fielded.decisions.ato.implementations.implementation import Implementation
from fielded.decisions.ato.overlays import Addition
from fielded.definition.ato import Ato
from fielded.definition.authorization import Authorization, Platform

COMPONENT = "fielded"
ORGANIZATION = "organization"

_Kind = Literal["share", "inherited", "organization"]
_ORDER: tuple[_Kind, ...] = ("share", "inherited", "organization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody besides fielded answers for a control.

    Attributes:
        kind: rule 4.
        written: control or family, as it is written in the site.
        platform: number in the site's list; None for the organization.
        name: the platform's, or who in the organization.
        provider: the name, with the platform's authorization.
        over: the last day of the platform's authorization is gone.
    """

    kind: _Kind
    written: str
    platform: int | None
    name: str
    provider: str
    over: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """Lower goes before."""
        return self.written.endswith("*"), _ORDER.index(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What is wrong with the answers themselves, whatever the evidence says.

    Attributes:
        id: stable.
        title: short.
        controls: that it touches.
        got: what was found.
        expected: what would have been right.
        step: what to do.
    """

    id: str
    title: str
    controls: tuple[str, ...]
    got: str
    expected: str
    step: str


def control_records(
    ato: Ato,
    authorization: Authorization,
    additions: Sequence[Addition],
    evidence: Mapping[str, Evidence],
    sources: Sources,
    today: date,
) -> tuple[ControlRecord, ...]:
    """Every control, in the catalog's order.

    Args:
        ato: of the definition.
        authorization: of the site.
        additions: of the site's files.
        evidence: the last of each id, as it counts for this scope.
        sources: what sentences are made of; its `unfit` and `failed` decide what counts.
        today: UTC.
    """
    seen = _Seen(evidence, sources)
    titles = {key: title for addition in additions for key, title in addition.controls.items()}
    titles |= {key: control.title for key, control in controls().items()}
    return tuple(
        _record(_Base(key, titles[key], not why, why, seen), ato, claims_on(key, authorization, today))
        for key, why in asked_for(ato, additions).items()
    )


def asked_for(ato: Ato, additions: Iterable[Addition]) -> dict[str, str]:
    """Rule 1: control -> why it is there though the baseline has it not; empty where it has."""
    found = dict.fromkeys(baseline(ato.chosen), "")
    for addition in additions:
        told = f"Added by {addition.title} {addition.version}".strip()
        found |= {key: told for key in addition.controls if key not in found}
    found |= {key: reason for key, reason in ato.tailored_in.items() if key not in baseline(ato.chosen)}
    return {key: found[key] for key in sorted(found, key=order_of)}


def claims_on(control: str, authorization: Authorization, today: date) -> tuple[Claim, ...]:
    """Who besides fielded answers for a control, the one that counts first: rule 4."""
    found = list(_of_platforms(control, authorization.platforms, today))
    for written, who in authorization.organization.items():
        if covers(written, control):
            found.append(Claim(kind="organization", written=written, platform=None, name=who, provider=who,
                               over=False))  # fmt: skip
    return tuple(sorted(found, key=lambda claim: claim.rank))


def covers(written: str, control: str) -> bool:
    """Whether `ac-2` or `ac-*` means a control."""
    return written == control or (written.endswith("-*") and control.startswith(written[:-1]))


def _of_platforms(control: str, platforms: Sequence[Platform], today: date) -> Iterator[Claim]:
    for place, platform in enumerate(platforms):
        over = platform.expires < today
        told = f"{platform.name} ({platform.authorization}, {platform.level}, until {platform.expires})"
        written: list[tuple[_Kind, str]] = [("share", one) for one in platform.shared]
        written += [("inherited", one) for one in platform.inherited]
        for kind, one in written:
            if covers(one, control):
                yield Claim(kind=kind, written=one, platform=place, name=platform.name, provider=told, over=over)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Evidence, and what makes sentences of it."""

    evidence: Mapping[str, Evidence]
    sources: Sources

    def result(self, ids: Sequence[str]) -> Outcome:
        """Rule 6."""
        if any(key in self.sources.failed for key in ids):
            return "not satisfied"
        if any(key not in self.evidence or key in self.sources.unfit for key in ids):
            return "not checked"
        outcomes = {self.evidence[key].outcome for key in ids}
        if outcomes <= {"satisfied", "attested"} and outcomes:
            return "attested" if "attested" in outcomes else "satisfied"
        return "not checked"


def _record(base: "_Base", ato: Ato, claims: Sequence[Claim]) -> ControlRecord:
    control = base.control
    implementation, reason = IMPLEMENTATIONS.get(control), ato.not_applicable.get(control)
    if reason is not None:
        return base.made("not applicable", "not checked", (_not_applicable(control),), reason=reason)
    if implementation is not None:
        return _implemented(base, implementation, claims)
    if not claims:
        return base.made("unassigned", "not checked")
    first = claims[0]
    origins: Mapping[_Kind, Origin] = {
        "share": "shared", "inherited": "inherited", "organization": "organization",
    }  # fmt: skip
    return base.made(
        origins[first.kind],
        "not satisfied" if first.over else "not checked",
        (_answered(first),),
        answers=(ORGANIZATION if first.platform is None else first.name, first.provider),
    )


def _implemented(base: "_Base", implementation: Implementation, claims: Sequence[Claim]) -> ControlRecord:
    """Rules 3, 7 and 8."""
    shared = bool(implementation.left or claims)
    result = base.seen.result(implementation.evidence)
    if any(claim.over for claim in claims[:1]):
        result = "not satisfied"
    elif implementation.left and not claims and result in ("satisfied", "attested"):
        result = "not checked"
    said = [*implementation.statements, *(_answered(claim) for claim in claims[:1])]
    return base.made(
        "shared" if shared else "implemented",
        result,
        tuple(said),
        answers=(COMPONENT, claims[0].provider if claims else ""),
        reason="" if not implementation.left else f"Left to others: {implementation.left}",
        implementation=implementation,
    )


@dataclass(frozen=True, slots=True)
class _Base:
    """What every record of a control has."""

    control: str
    title: str
    in_baseline: bool
    why: str
    seen: _Seen

    def made(
        self,
        origin: Origin,
        result: Outcome,
        said: tuple[Statement, ...] = (),
        *,
        answers: tuple[str, str] = ("", ""),
        reason: str = "",
        implementation: Implementation | None = None,
    ) -> ControlRecord:
        """The record.

        Args:
            origin: see the rules.
            result: likewise.
            said: sentences before they are made.
            answers: the component that implements it, and who answers for what is not the system's.
            reason: beside why the control is there.
            implementation: fielded's.
        """
        sentences: tuple[Said, ...] = tuple(self.seen.sources.say(one) for one in said)
        record = ControlRecord(
            id=self.control,
            title=self.title,
            family=self.control.partition("-")[0],
            in_baseline=self.in_baseline,
            origin=origin,
            result=result,
            said=sentences,
            component=answers[0],
            provider=answers[1],
            reason=". ".join(part.rstrip(".") for part in (self.why, reason) if part),
        )
        if implementation is None:
            return record
        return replace(
            record,
            evidence=implementation.evidence,
            code=implementation.code,
            tests=implementation.tests,
            procedure=implementation.procedure,
        )


def _not_applicable(control: str) -> Statement:
    return Statement(
        template="It does not apply here: {reason}",
        references={"reason": f"definition#/ato/not_applicable/{control}"},
    )


def _answered(claim: Claim) -> Statement:
    """Who answers, by a sentence that cites the site."""
    if claim.platform is None:
        return Statement(
            template="In the organization, {who} answers for it.",
            references={"who": f"site#/organization/{claim.written}"},
        )
    place = f"site#/platforms/{claim.platform}"
    named = {name: f"{place}/{name}" for name in ("name", "authorization", "level", "expires")}
    ended = "which ended on {expires}" if claim.over else "valid until {expires}"
    if claim.kind == "inherited":
        template = "{name} answers for it under its authorization {authorization} at {level}, " + ended + "."
        return Statement(template=template, references=named)
    template = (
        "{name} has a share in it under its authorization {authorization} at {level}, "
        + ended
        + ". To the system "
        "is left: {rest}"
    )
    return Statement(template=template, references={**named, "rest": f"{place}/shared/{claim.written}"})


def gaps(
    ato: Ato,
    authorization: Authorization,
    additions: Sequence[Addition],
    records: Sequence[ControlRecord],
    today: date,
) -> tuple[Gap, ...]:
    """What is wrong with the answers themselves."""
    return (
        *_over(authorization, records, today),
        *_claimed_twice(authorization, records, today),
        *_unknown(ato, authorization, additions),
        *_nobody(records),
    )


def _over(authorization: Authorization, records: Sequence[ControlRecord], today: date) -> Iterator[Gap]:
    """Rule 8."""
    for platform in authorization.platforms:
        if platform.expires < today:
            written = (*platform.inherited, *platform.shared)
            touched = tuple(one.id for one in records if any(covers(item, one.id) for item in written))
            yield Gap(
                id=f"authorization-over:{platform.name}",
                title=f"The authorization of {platform.name} is over",
                controls=touched,
                got=f"{platform.authorization}, which ended on {platform.expires}",
                expected="an authorization that is valid today",
                step="Ask the platform for its present authorization, and name it in authorization.platforms",
            )


def _claimed_twice(authorization: Authorization, records: Sequence[ControlRecord], today: date) -> Iterator[Gap]:
    """Two that answer for one control alone are as good as none."""
    for record in records:
        if record.origin not in ("inherited", "organization"):
            continue
        claims = [one for one in claims_on(record.id, authorization, today) if one.kind != "share"]
        first = [one for one in claims if one.written.endswith("*") == claims[0].written.endswith("*")]
        names = sorted({one.name for one in first})
        if len(names) > 1:
            yield Gap(
                id=f"claimed-twice:{record.id}",
                title=f"More than one answers alone for {name_of(record.id)}",
                controls=(record.id,),
                got=", ".join(names),
                expected="one that answers for it, or a share for each",
                step="Name it at one of them in `authorization`, or under `shared` with what is left",
            )


def _unknown(ato: Ato, authorization: Authorization, additions: Sequence[Addition]) -> Iterator[Gap]:
    """A control that nobody knows is most likely misspelt, and then the one that was meant is unassigned."""
    known = {*controls(), *(key for addition in additions for key in addition.controls)}
    known |= {f"{key.partition('-')[0]}-*" for key in known}
    written = {*ato.tailored_in, *ato.not_applicable, *authorization.organization}
    for platform in authorization.platforms:
        written |= {*platform.inherited, *platform.shared}
    for key in sorted(written - known):
        yield Gap(
            id=f"unknown-control:{key}",
            title=f"Nobody knows the control {key}",
            controls=(),
            got=key,
            expected="a control of SP 800-53 rev. 5 that is not withdrawn, or one that a file of the site adds",
            step="Look at how it is written in `ato` of the definition and in `authorization` of the site",
        )


def _nobody(records: Sequence[ControlRecord]) -> Iterator[Gap]:
    """Rules 5 and 7."""
    unassigned = tuple(one.id for one in records if one.origin == "unassigned")
    if unassigned:
        yield Gap(
            id="unassigned",
            title="Controls that nobody answers for",
            controls=unassigned,
            got=f"{len(unassigned)} of {len(records)} controls",
            expected="for each a platform, somebody in the organization, or a reason why it does not apply",
            step="Name them in `authorization` of the site, or under ato.not_applicable with the reason",
        )
    rest = tuple(one.id for one in records if one.origin == "shared" and not one.provider)
    if rest:
        yield Gap(
            id="rest-unassigned",
            title="Controls of which a part is left to others, and nobody is named",
            controls=rest,
            got=f"{len(rest)} of {len(records)} controls",
            expected="for each a platform or somebody in the organization who answers for the rest",
            step="Name them under `shared` of a platform, or under `organization`",
        )

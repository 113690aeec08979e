"""The part of a site that concerns its authorization: what the system stands on, who answers for which control.

The boundary, the hosting authorization and what is inherited of it belong to the place, not to the deployment: the
same folder runs below another authorization elsewhere.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.dataclasses import dataclass

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)

_Text = Annotated[str, StringConstraints(min_length=1)]
_Url = Annotated[str, StringConstraints(pattern=r"^https://[^\s@]+$")]
# A control, or all of a family: `ac-2`, `pe-*`.
_Controls = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}-(\*|\d{1,2}(\.\d{1,2})?)$")]


def _frozen(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


def _frozen_lists(mapping: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Platform:
    """A provider whose controls the system inherits.

    Attributes:
        name: what it is called.
        authorization: identifier of its own authorization, such as a Provisional Authorization's number.
        level: what it is authorized at, such as `IL4` or `FedRAMP High`.
        expires: last day of it.
        authorized: day on which it was given; OSCAL names a leveraged authorization only with it.
        inherited: controls, or families (`pe-*`), that it answers for alone.
        shared: control -> what of it is left to the system; the rest is the platform's.
    """

    name: _Text
    authorization: _Text
    level: _Text
    expires: date
    authorized: date | None = None
    inherited: tuple[_Controls, ...] = ()
    shared: Annotated[Mapping[_Controls, _Text], AfterValidator(_frozen)] = Field(
        default_factory=lambda: _frozen({})
    )


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Contact:
    """Whom FedRAMP's readers may ask.

    Attributes:
        kind: `Security` and `Sales` must both be there; others may.
        name: of a person or a role.
        email: address.
        phone: as `202-555-0123`; empty where there is none.
    """

    kind: _Text
    name: _Text
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")]
    phone: Annotated[str, StringConstraints(pattern=r"^([0-9]{3}-[0-9]{3}-[0-9]{4})?$")] = ""


def _both_kinds(contacts: tuple[Contact, ...]) -> tuple[Contact, ...]:
    missing = {"Security", "Sales"} - {contact.kind for contact in contacts}
    if missing:
        raise ValueError(f"a contact of kind {' and '.join(sorted(missing))} too")
    return contacts


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class FedRamp:
    """What FedRAMP's two documents say that no machine can know.

    Attributes:
        package_id: identifier that FedRAMP gave the provider.
        provider: its name.
        service: full name of the offering.
        acronym: short name of the offering.
        website: of the offering, `https://...`.
        logo: URL of a picture, as the schema asks for.
        overview_uri: where the Certification Package Overview is published.
        certification: which of the two kinds.
        service_types: what it is offered as.
        deployment_model: kind of cloud.
        contacts: at least one for security and one for sales.
        requirements: identifier of a requirement of the rules -> how the provider meets it; attested, not seen.
    """

    package_id: _Text
    provider: _Text
    service: _Text
    acronym: _Text
    website: _Url
    logo: Annotated[str, StringConstraints(pattern=r"^https://\S+\.(png|jpe?g|gif|svg|webp|ico|bmp|tiff?)$")]
    overview_uri: _Url
    certification: Literal["20x", "Rev5"] = "Rev5"
    service_types: Annotated[tuple[Literal["SaaS", "PaaS", "IaaS"], ...], Field(min_length=1)] = ("SaaS",)
    deployment_model: Literal[
        "Public Cloud", "Government-Only Cloud", "Hybrid Cloud", "Community Cloud", "Government Community Cloud"
    ] = "Government-Only Cloud"
    contacts: Annotated[tuple[Contact, ...], AfterValidator(_both_kinds)]
    requirements: Annotated[Mapping[_Text, _Text], AfterValidator(_frozen)] = Field(
        default_factory=lambda: _frozen({})
    )


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Authorization:
    """What the authorization of this site says.

    Attributes:
        system: the system's name in the registry of systems.
        system_id: its identifier there.
        national_security: whether it is a national security system; None where nobody decided.
        platforms: what it stands on.
        organization: control -> who in the organization answers for it, such as training or physical security.
        ports: registered ports and protocols, such as `tcp/8443`.
        cssp: cybersecurity service provider.
        boundary_access: path by which users cross the boundary.
        pki: certificate authorities that are trusted.
        fips_module: validated cryptographic module that the site uses, with its certificate's number.
        stig: guides that were applied and where their results lie.
        incident_path: whom an incident is reported to.
        catalog: file with the catalog of controls (OSCAL), for their full texts.
        additions: files with further controls or overlays (OSCAL profile or catalog), such as those of an impact
            level or of AI; nothing is invented where there are none.
        vulnerabilities: file that the site's scanner wrote (SARIF or CycloneDX).
        sbom: file with the bill of materials (CycloneDX).
        image_context: folder that the image is built from; secrets are looked for in it.
        persons: address of a person of the definition -> identities that are theirs.
        emass_template: the workbook that rows are filled into.
        fedramp: for FedRAMP's two documents; None writes none.
    """

    system: str = ""
    system_id: str = ""
    national_security: bool | None = None
    platforms: tuple[Platform, ...] = ()
    organization: Annotated[Mapping[_Controls, _Text], AfterValidator(_frozen)] = Field(
        default_factory=lambda: _frozen({})
    )
    ports: tuple[_Text, ...] = ()
    cssp: str = ""
    boundary_access: str = ""
    pki: tuple[_Text, ...] = ()
    fips_module: str = ""
    stig: str = ""
    incident_path: str = ""
    catalog: Path | None = None
    additions: tuple[Path, ...] = ()
    vulnerabilities: Path | None = None
    sbom: Path | None = None
    image_context: Path | None = None
    persons: Annotated[Mapping[_Text, tuple[_Text, ...]], AfterValidator(_frozen_lists)] = Field(
        default_factory=lambda: _frozen_lists({})
    )
    emass_template: Path | None = None
    fedramp: FedRamp | None = None

"""What OSCAL's documents have in common: identifiers, metadata, and the files of the package that they point to.

1. An identifier is made of the deployment's name and of what it stands for (UUID version 5): the same thing has
   the same one in each document and in the next package. That of a document is made of all that is in it, for
   OSCAL wants another for each revision.
2. Properties of ours have a namespace of ours; those without one are NIST's.
3. What somebody wrote is taken as text: `<` is no markup here, and a property is one line.
4. An assessor is a role that nobody has: an independent person says so with another key.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import NAMESPACE_URL, UUID, uuid5

from fielded.decisions.assurance.controls import Assurance
from fielded.decisions.assurance.evidence import Evidence
from fielded.words.digests import value_sha256

VERSION = "1.2.3"
OURS = "urn:fielded:oscal"  # rule 2
ASSESSOR, PROVIDER = "assessor", "provider"

_ROOT = uuid5(NAMESPACE_URL, "urn:fielded:package")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MEDIA = {
    "json": "application/json", "html": "text/html", "svg": "image/svg+xml", "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
_ROLES = {"isso": "information-system-security-officer"}  # NIST's names where they are others than ours
_TITLES = {"isso": "Information system security officer", "rai_approver": "Approver of the RAI assessment"}
_ATTACHED = {"sbom": "Bill of materials", "vulnerabilities": "Results of the vulnerability scanner"}


@dataclass(frozen=True, slots=True)
class Making:
    """What every document is made of.

    Attributes:
        assurance: what the package says.
        attached: file of the package -> its SHA-256.
        base: namespace of the deployment's identifiers.
    """

    assurance: Assurance
    attached: Mapping[str, str]
    base: UUID

    @classmethod
    def of(cls, assurance: Assurance, attached: Mapping[str, str]) -> Self:
        """For one package."""
        return cls(assurance, attached, uuid5(_ROOT, str(assurance.definition["name"])))

    def uuid(self, kind: str, name: str = "") -> str:
        """Rule 1."""
        return str(uuid5(self.base, f"{kind}/{name}"))

    @property
    def as_of(self) -> str:
        """Of the package, as OSCAL writes a time."""
        return self.assurance.as_of.isoformat()

    @property
    def newest(self) -> Evidence | None:
        """The evidence that was collected last."""
        return max(self.assurance.evidence.values(), key=lambda one: (one.at, one.id), default=None)

    @property
    def platforms(self) -> Sequence[Mapping[str, Any]]:
        """Those that the site stands on."""
        found: Sequence[Mapping[str, Any]] = self.assurance.site.get("platforms") or ()
        return found

    @property
    def system(self) -> str:
        """What the system is called."""
        return str(self.assurance.site.get("system") or self.assurance.definition["name"])

    def document(self, root: str, title: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A whole document, under the identifier of rule 1."""
        content = {"metadata": self._metadata(title), **body}
        return {root: {"uuid": self.uuid("document", f"{root}/{value_sha256(content)}"), **content}}

    def _metadata(self, title: str) -> dict[str, Any]:
        people: Mapping[str, Mapping[str, str]] = self.assurance.definition["people"]
        roles = [{"id": role_id(role), "title": role_title(role)} for role in people]
        note = "An independent person has this role; nobody does in a document that the system made of itself."
        roles.append({"id": ASSESSOR, "title": "Assessor", "description": note})
        if self.platforms:
            roles.append({"id": PROVIDER, "title": "Provider of a platform"})
        return {
            "title": line(f"{title}: {self.system}"),
            "last-modified": self.as_of,
            "version": self.as_of,
            "oscal-version": VERSION,
            "props": [
                prop("definition-sha256", self.assurance.definition.get("sha256", "")),
                prop("made-by", "" if self.newest is None else self.newest.tool),
            ],
            "roles": roles,
            "parties": [*self._persons(people), *self._providers()],
            "responsible-parties": [
                {"role-id": role_id(role), "party-uuids": [self.uuid("person", _whom(person))]}
                for role, person in people.items()
            ],
        }

    def _persons(self, people: Mapping[str, Mapping[str, str]]) -> Iterable[dict[str, Any]]:
        for key, person in {_whom(person): person for person in people.values()}.items():
            yield {
                "uuid": self.uuid("person", key),
                "type": "person",
                "name": line(person["name"]),
                "email-addresses": [person["email"]],
            }

    def _providers(self) -> Iterable[dict[str, Any]]:
        for platform in self.platforms:
            yield {
                "uuid": self.uuid("provider", platform["name"]),
                "type": "organization",
                "name": line(platform["name"]),
            }

    def resource(self, evidence: str) -> str:
        """Identifier of a piece of evidence in the back matter."""
        return self.uuid("resource", f"evidence/{evidence}")

    def evidence_links(self, ids: Iterable[str]) -> list[dict[str, str]]:
        """Links to those pieces of evidence that are in the package."""
        held = self.assurance.evidence
        return [{"href": f"#{self.resource(key)}", "rel": "evidence"} for key in ids if key in held]

    def back_matter(self, evidence: Iterable[str], *, documents: bool = False) -> dict[str, Any]:
        """The files that a document points to, with their digests.

        Args:
            evidence: ids; those that the package has not are left out.
            documents: whether those that people read, and what others made, are among them.
        """
        held = self.assurance.evidence
        resources = [self._evidence(held[key]) for key in sorted(set(evidence)) if key in held]
        if documents:
            resources += [*self._documents(), *self._others()]
        return {"back-matter": {"resources": resources}} if resources else {}

    def _evidence(self, one: Evidence) -> dict[str, Any]:
        return self._resource(
            f"evidence/{one.id}", one.title, "evidence", [f"evidence/{one.id}.json"],
            f"{one.outcome}, collected on {one.at:%Y-%m-%d} by {one.tool}; again with `{one.command}`",
        )  # fmt: skip

    def _documents(self) -> Iterable[dict[str, Any]]:
        for name, document in self.assurance.documents.items():
            files = [
                f"{place}{name}.{end}" for place in ("", "documents/") for end in ("html", "docx", "json", "svg")
            ]
            yield self._resource(f"document/{name}", document.title, "report", files, "")

    def _others(self) -> Iterable[dict[str, Any]]:
        """What others made, where the site names a file of it, and the matrix of controls."""
        for name, title in _ATTACHED.items():
            files = [file for file in self.attached if file.startswith(f"attached/{name}.")]
            if files:
                yield self._resource(f"attached/{name}", title, "artifact", files, "")
        if "controls.xlsx" in self.attached:
            yield self._resource("controls", "Matrix of controls", "artifact", ["controls.xlsx"], "")

    def _resource(
        self, name: str, title: str, kind: str, files: Sequence[str], description: str
    ) -> dict[str, Any]:
        links = [
            {
                "href": f"../{file}",
                **({"media-type": _MEDIA[end]} if (end := file.rpartition(".")[2]) in _MEDIA else {}),
                "hashes": [{"algorithm": "SHA-256", "value": self.attached[file]}],
            }
            for file in files
            if file in self.attached
        ]
        return kept({
            "uuid": self.uuid("resource", name),
            "title": line(title),
            "description": prose(description),
            "props": [prop("type", kind, ours=False)],
            "rlinks": links,
        })  # fmt: skip


def kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without those that are empty: OSCAL leaves out what it has not."""
    return {key: value for key, value in values.items() if value not in ("", None, [], (), {})}


def prop(name: str, value: object, *, ours: bool = True) -> dict[str, str]:
    """A property; one without a value says so, for OSCAL has no empty one."""
    return {"name": name, **({"ns": OURS} if ours else {}), "value": line(str(value)) or "not known"}


def line(text: str) -> str:
    """A text as one line: rule 3."""
    return " ".join(_CONTROL.sub(" ", text).split()).replace("<", "\\<")


def prose(text: str) -> str:
    """A text with its lines: rule 3."""
    return _CONTROL.sub(" ", text).strip().replace("<", "\\<")


def role_id(role: str) -> str:
    """A role of the definition as OSCAL names it."""
    return _ROLES.get(role, role.replace("_", "-"))


def role_title(role: str) -> str:
    """A role in words."""
    return _TITLES.get(role, role.replace("_", " ").capitalize())


def _whom(person: Mapping[str, str]) -> str:
    return f"{person['name']} <{person['email']}>"

"""Whether everything that OSCAL's documents point to is there: schemas do not ask, and no validator does it all.

1. An identifier stands for one thing in a document.
2. `component-uuid` and the like name a thing of that kind, in the document itself or in one that it imports. A
   key that ends in `-uuid` and is not known here must name something.
3. A role that somebody has, or is asked for, is one of the document's.
4. An import leads to a document of its kind. `#identifier` leads to something in the same document: for evidence,
   a diagram and an import to a resource of the back matter. A relative reference leads to a file of the package;
   the digest of one that the back matter names is said and is the file's.
5. Each control of the plan stands in the profile and the other way round, once. What is planned, found or to be
   mended is about controls of the plan, and so is what a component is said to implement.
6. What implements no component, or is implemented by one twice, is found; and so is a parameter that stands at
   another control than its own, or in a profile that has not its control.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

from fielded.decisions.ato.oscal.common import OURS
from fielded.definition.ato import control_of
from fielded.words.errors import Finding

# Rule 2: key -> names of the lists in which such things stand.
_KINDS: Mapping[str, frozenset[str]] = {
    "component-uuid": frozenset({"components"}),
    "party-uuid": frozenset({"parties"}),
    "party-uuids": frozenset({"parties"}),
    "location-uuid": frozenset({"locations"}),
    "location-uuids": frozenset({"locations"}),
    "activity-uuid": frozenset({"activities"}),
    "task-uuid": frozenset({"tasks"}),
    "observation-uuid": frozenset({"observations"}),
    "risk-uuid": frozenset({"risks"}),
    "finding-uuid": frozenset({"findings"}),
    "response-uuid": frozenset({"remediations"}),
    "provided-uuid": frozenset({"provided"}),
    "responsibility-uuid": frozenset({"responsibilities"}),
    "implementation-statement-uuid": frozenset({"implemented-requirements", "statements", "by-components"}),
    "leveraged-authorization-uuid": frozenset({"leveraged-authorizations"}),
}
# A subject and an actor say of what kind they are.
_TYPED: Mapping[str, frozenset[str]] = {
    "component": frozenset({"components"}),
    "tool": frozenset({"components"}),
    "inventory-item": frozenset({"inventory-items"}),
    "location": frozenset({"locations"}),
    "party": frozenset({"parties"}),
    "user": frozenset({"users"}),
    "resource": frozenset({"resources"}),
    "assessment-platform": frozenset({"assessment-platforms"}),
}
_IMPORTS: Mapping[str, str] = {  # field -> kind of document that it imports
    "import-ssp": "system-security-plan",
    "import-ap": "assessment-plan",
    "import-profile": "profile",
}
_EVIDENT = frozenset({"relevant-evidence", "imports", "control-implementations", *_IMPORTS})
_RELATIONS = frozenset({"evidence", "diagram"})
_UPWARDS = "../"
_MOST = 5  # documents that one imports in turn
_DEEPEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A JSON object where it stands.

    Attributes:
        path: to it.
        among: name of the list that it is in, or of the field.
        values: of it.
    """

    path: str
    among: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A document as it is looked through.

    Attributes:
        file: its name.
        root: kind of document.
        nodes: every object in it.
        defined: identifier -> lists in which it stands.
        roles: ids of its roles.
        imported: file that it imports -> the kind that it should have.
    """

    file: str
    root: str
    nodes: tuple[_Node, ...]
    defined: Mapping[str, tuple[str, ...]]
    roles: frozenset[str]
    imported: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, file: str, document: Mapping[str, Any]) -> Self:
        """From JSON values.

        Raises:
            ValueError: they are no document of OSCAL.
        """
        if len(document) != 1 or not isinstance(body := next(iter(document.values())), Mapping):
            raise ValueError(f"{file}: got no OSCAL document, expected an object with one model")
        nodes = tuple(_nodes(body, "", next(iter(document))))
        defined: dict[str, tuple[str, ...]] = {}
        for node in nodes:
            if isinstance(own := node.values.get("uuid"), str):
                defined[own] = (*defined.get(own, ()), node.among)
        return cls(
            file=file,
            root=next(iter(document)),
            nodes=nodes,
            defined=defined,
            roles=frozenset(str(one["id"]) for one in body.get("metadata", {}).get("roles", ()) if "id" in one),
            imported={
                _beside(file, str(body[name]["href"])): kind
                for name, kind in _IMPORTS.items()
                if "href" in (body.get(name) or {})
            },
        )


def reference_findings(
    documents: Mapping[str, Mapping[str, Any]], attached: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """All that leads nowhere, or elsewhere than it says.

    Args:
        documents: file in the package -> OSCAL document; those that import each other are beside each other.
        attached: file of the package -> its SHA-256; None does not look at files.

    Raises:
        ValueError: something is no OSCAL document.
    """
    read = {file: _Document.of(file, document) for file, document in documents.items()}
    found: list[Finding] = []
    for one in read.values():
        seen = _with_imported(one, read)
        found += [*_imports(one, read), *_unique(one), *_identifiers(one, seen), *_roles(one), *_links(one)]
        if attached is not None:
            found += [*_files(one, attached), *_elsewhere(one, {*read, *attached})]
    return (*found, *_controls(read))


def _of(document: _Document, path: str, got: str, expected: str) -> Finding:
    step = "Build the package anew with `fielded ato package`"
    return Finding(document.file, path.lstrip("/") or document.root, got, expected, step)


def _nodes(value: Any, path: str, among: str, depth: int = 0) -> Iterator[_Node]:
    if depth > _DEEPEST:
        raise ValueError(f"{path}: got objects in objects without end, expected at most {_DEEPEST}")
    if isinstance(value, Mapping):
        yield _Node(path=path, among=among, values=value)
        for key, item in value.items():
            yield from _nodes(item, f"{path}/{key}", key, depth + 1)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _nodes(item, f"{path}/{place}", among, depth + 1)


def _beside(file: str, href: str) -> str:
    """The file that a relative reference leads to; as it is where it leads out of the package."""
    if "://" in href or href.startswith(("#", "/")):
        return href
    parts: list[str] = list(PurePosixPath(file).parent.parts)
    for part in href.split("/"):
        if part == "..":
            if not parts:
                return href
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _with_imported(document: _Document, read: Mapping[str, _Document]) -> tuple[_Document, ...]:
    """A document, and those that it imports in turn."""
    found = [document]
    for one in found:
        more = [read[file] for file in one.imported if file in read]
        found += [other for other in more if other not in found and len(found) < _MOST]
    return tuple(found)


def _imports(document: _Document, read: Mapping[str, _Document]) -> Iterator[Finding]:
    """Rule 4."""
    for file, kind in document.imported.items():
        if "://" in file or file.startswith("#"):
            continue
        if file not in read:
            yield _of(document, "import", file, "a document of the package")
        elif read[file].root != kind:
            yield _of(document, "import", f"{file}, which is a {read[file].root}", f"a {kind}")


def _unique(document: _Document) -> Iterator[Finding]:
    """Rule 1."""
    for own, among in document.defined.items():
        if len(among) > 1:
            yield _of(document, "/".join(among[:2]), f"{own} {len(among)} times", "each identifier once")
        if not _is_uuid(own):
            yield _of(document, among[0], f"{own!r}", "a UUID")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _identifiers(document: _Document, seen: tuple[_Document, ...]) -> Iterator[Finding]:
    """Rule 2."""
    for node in document.nodes:
        for key, value in node.values.items():
            if not key.endswith(("-uuid", "-uuids")):
                continue
            kinds = _KINDS.get(key)
            if key in ("subject-uuid", "actor-uuid"):
                kinds = _TYPED.get(str(node.values.get("type")))
            for one in value if isinstance(value, list) else [value]:
                yield from _named(document, f"{node.path}/{key}", str(one), kinds, seen)
        if node.among == "props" and str(node.values.get("name")) in _KINDS and node.values.get("ns") != OURS:
            name, value = str(node.values["name"]), str(node.values.get("value"))
            yield from _named(document, f"{node.path}/value", value, _KINDS[name], seen)


def _named(
    document: _Document, path: str, own: str, kinds: frozenset[str] | None, seen: tuple[_Document, ...]
) -> Iterator[Finding]:
    among = {name for one in seen for name in one.defined.get(own, ())}
    if not among or (kinds is not None and not among & kinds):
        what = f"one of {', '.join(sorted(kinds))}" if kinds else "something that is there"
        got = f"{own}, which is one of {', '.join(sorted(among))}" if among else f"{own}, which nothing has"
        yield _of(document, path, got, f"{what}, in this document or one that it imports")


def _roles(document: _Document) -> Iterator[Finding]:
    """Rule 3."""
    for node in document.nodes:
        asked = [node.values["role-id"]] if "role-id" in node.values else []
        for role in [*asked, *(node.values.get("role-ids") or ())]:
            if role not in document.roles:
                yield _of(document, f"{node.path}/role-id", str(role), "a role of this document's metadata")


def _links(document: _Document) -> Iterator[Finding]:
    """Rule 4."""
    for node in document.nodes:
        for key in ("href", "source"):
            href = node.values.get(key)
            if not isinstance(href, str) or not href.startswith("#"):
                continue
            among = document.defined.get(href[1:], ())
            if not among:
                yield _of(document, f"{node.path}/{key}", href, "something in this document")
            elif "resources" not in among and (node.among in _EVIDENT or node.values.get("rel") in _RELATIONS):
                yield _of(document, f"{node.path}/{key}", f"{href}, which is one of {', '.join(among)}",
                          "a resource of the back matter")  # fmt: skip


def _elsewhere(document: _Document, there: set[str]) -> Iterator[Finding]:
    """Rule 4, of what is neither an import nor in the back matter: those are looked at by themselves."""
    for node in document.nodes:
        if node.among in ("rlinks", *_IMPORTS):
            continue
        for key in ("href", "source"):
            href = node.values.get(key)
            if not isinstance(href, str) or href.startswith("#") or urlsplit(href).scheme:
                continue
            if _beside(document.file, href.partition("#")[0]) not in there:
                yield _of(document, f"{node.path}/{key}", href, "a file of the package")


def _files(document: _Document, attached: Mapping[str, str]) -> Iterator[Finding]:
    """Rule 4."""
    for node in document.nodes:
        if node.among != "rlinks":
            continue
        href = str(node.values.get("href", ""))
        file = _beside(document.file, href)
        if "://" in file:
            continue
        said = {
            str(one.get("value")) for one in node.values.get("hashes", ()) if one.get("algorithm") == "SHA-256"
        }
        if file.startswith((_UPWARDS, "/")) or file not in attached:
            yield _of(document, f"{node.path}/href", href, "a file of the package")
        elif said != {attached[file]}:
            yield _of(document, f"{node.path}/hashes", f"{len(said)} digests that are not the file's",
                      f"SHA-256 {attached[file][:16]} of {file}")  # fmt: skip


def _controls(read: Mapping[str, _Document]) -> Iterator[Finding]:
    """Rules 5 and 6."""
    plans = [one for one in read.values() if one.root == "system-security-plan"]
    for plan in plans:
        own = [node for node in plan.nodes if node.among == "implemented-requirements"]
        ids = [str(node.values.get("control-id")) for node in own]
        for twice in sorted({one for one in ids if ids.count(one) > 1}):
            yield _of(plan, "control-implementation", f"{twice} {ids.count(twice)} times", "each control once")
        for node in own:
            yield from _by_components(plan, node)
            yield from _parameters(plan, node, {str(node.values.get("control-id"))})
        for one in read.values():
            if one.root == "profile" and one.file in plan.imported:
                yield from _tailored(plan, one, set(ids))
            elif one.root == "component-definition" or (plan in _with_imported(one, read) and one is not plan):
                yield from _about(one, set(ids))


def _by_components(plan: _Document, node: _Node) -> Iterator[Finding]:
    parts = [str(one.get("component-uuid")) for one in node.values.get("by-components", ())]
    stated = [part for one in node.values.get("statements", ()) for part in one.get("by-components", ())]
    control = node.values.get("control-id")
    if not parts and not stated:
        yield _of(plan, node.path, f"{control} without a component", "at least one that answers for it")
    if len(set(parts)) < len(parts):
        yield _of(plan, node.path, f"{control} with one component twice", "each once")


def _parameters(document: _Document, node: _Node, ids: set[str]) -> Iterator[Finding]:
    """That each parameter set in a part of a document is of one of some controls."""
    for place, one in enumerate(node.values.get("set-parameters") or ()):
        name = str(one.get("param-id"))
        try:
            known = control_of(name) in ids
        except ValueError:
            known = False
        if not known:
            expected = f"a parameter of {next(iter(ids))}" if len(ids) == 1 else "a parameter of its controls"
            yield _of(document, f"{node.path}/set-parameters/{place}/param-id", name, expected)


def _tailored(plan: _Document, profile: _Document, ids: set[str]) -> Iterator[Finding]:
    chosen = {str(one) for node in profile.nodes for one in node.values.get("with-ids") or ()}
    if any("include-all" in node.values for node in profile.nodes):
        return  # which those are another file says
    for key in sorted(chosen - ids):
        yield _of(
            plan, "control-implementation", f"nothing on {key}", f"what is done for it: {profile.file} has it"
        )
    for key in sorted(ids - chosen):
        yield _of(profile, "imports", f"nothing on {key}", f"the controls of {plan.file}, which has it")
    for node in profile.nodes:
        if node.among == "modify":
            yield from _parameters(profile, node, chosen)


def _about(document: _Document, ids: set[str]) -> Iterator[Finding]:
    for node in document.nodes:
        named = node.values.get("control-id")
        if named is not None and str(named) not in ids:
            yield _of(document, f"{node.path}/control-id", str(named), "a control of the plan")
        if node.among == "target" and "target-id" in node.values:
            control = str(node.values["target-id"]).partition("_")[0]
            if control not in ids:
                yield _of(document, f"{node.path}/target-id", str(node.values["target-id"]), "one of the plan")

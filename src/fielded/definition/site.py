"""Where a deployment runs: never part of it, never travels with it.

Read from site.yaml, then from the environment (`FIELDED_ROOT` stands above `root:`), then the embedded
default: everything under `.fielded/` in the folder the command runs in, no server, no JVM.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml.comments import CommentedMap

from fielded.definition.authorization import Authorization
from fielded.definition.reading import findings_of, line_of, plain, read_yaml, show
from fielded.definition.serving import Api, Identity, Role
from fielded.definition.watching import Notify, Watching
from fielded.words.errors import DefinitionError, Finding

FILE = "site.yaml"
PREFIX = "FIELDED_"

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _frozen_roles(mapping: Mapping[str, tuple[Role, ...]]) -> Mapping[str, tuple[Role, ...]]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Site:
    """The frozen site.

    Attributes:
        root: folder or URI that holds the tables; `a.b.c` lies at `root/a/b/c`.
        tracking_uri: MLflow's tracking and registry URI.
        artifact_root: where models registered from here keep their files (only for a store without a server).
        cache: folder for verified copies of model files and for spilled data.
        ledger: catalog prefix of the ledger's tables.
        engine: what runs the population query.
        workers: threads that score.
        engine_memory_mib: memory the query engine may use before it spills to disk, in MiB.
        batch_rows: rows that travel together through rules and scorer.
        file_rows: rows of one ledger data file, at most.
        environment: `development` forgives what `production` does not: a signing key made on first use, a
            static token, an API without identities, documentation pages.
        journal_url: `sqlite:///FOLDER` (a file for each process) or `postgresql://...` (one for all replicas).
        signing_key: URI of the private key that signs checkpoints: `file:PATH` (PEM, Ed25519 or P-256).
        trusted_keys: URIs of further public keys whose checkpoints are believed: those before a rotation.
        checkpoints: folder that gets a copy of every signed checkpoint; best on another office's storage.
        identity: who may call the API.
        api: how it is served.
        roles: identity of the command line (`os:NAME`) -> its roles. Where none is named, everybody has all of
            them in a development site, and nobody has any in a production site.
        notify: whom an alarm of the watch reaches.
        monitoring: what the watch reads besides the ledger.
        authorization: what the authorization of this site says: platforms, inheritance, ports, providers.
    """

    root: str
    tracking_uri: str
    artifact_root: str
    cache: Path
    ledger: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "ledger"
    engine: Literal["duckdb"] = "duckdb"
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    engine_memory_mib: Annotated[int, Field(ge=64)] = 512
    batch_rows: Annotated[int, Field(ge=1, le=1 << 22)] = 131_072
    file_rows: Annotated[int, Field(ge=1)] = 2_097_152
    environment: Literal["development", "production"] = "development"
    journal_url: Annotated[str, Field(pattern=r"^(sqlite:///.|postgres(ql)?://.)")]
    signing_key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+-]*:.")]
    trusted_keys: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9+-]*:.")], ...] = ()
    checkpoints: Path | None = None
    identity: Identity = Field(default_factory=Identity)
    api: Api = Field(default_factory=Api)
    roles: Annotated[
        Mapping[Annotated[str, Field(min_length=1)], tuple[Role, ...]], AfterValidator(_frozen_roles)
    ] = Field(default_factory=lambda: _frozen_roles({}))
    notify: Notify = Field(default_factory=Notify)
    monitoring: Watching = Field(default_factory=Watching)
    authorization: Authorization = Field(default_factory=Authorization)


_SITE = TypeAdapter(Site)

_ONLY_IN_THE_FILE = frozenset(
    {
        "identity",
        "api",
        "trusted_keys",
        "roles",
        "notify",
        "monitoring",
        "authorization",
    }  # they have parts; a variable is one text
)
_OF_A_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP|SCTP)\w*)$")
_REFERENCE = re.compile(r"\benv:([A-Za-z_][A-Za-z0-9_]*)")
_PATH_URIS = ("sqlite:///", "file://", "file:")
_PATHS = (
    ("root",), ("artifact_root",), ("cache",), ("checkpoints",), ("journal_url",), ("signing_key",),
    ("trusted_keys",), ("identity", "oidc", "jwks"), ("identity", "proxy", "secret"),
    ("identity", "development_token"), ("api", "tls_certificate"), ("api", "tls_key"),
    ("notify", "webhook", "secret"), ("notify", "mail", "password"), ("monitoring", "token"),
    ("authorization", "catalog"), ("authorization", "additions"),
    ("authorization", "vulnerabilities"), ("authorization", "sbom"), ("authorization", "emass_template"),
    ("authorization", "image_context"),
)  # fmt: skip

Problem = tuple[tuple[str, ...], str, str, str]  # path of the field, got, expected, next step


def site_file(environment: Mapping[str, str], folder: Path, file: Path | None = None) -> Path | None:
    """The file that `load_site` reads for the same arguments; None where the site is embedded."""
    named = file or (Path(environment[f"{PREFIX}SITE"]) if f"{PREFIX}SITE" in environment else None)
    path = named or folder / FILE
    return path if named or path.exists() else None


def load_site(environment: Mapping[str, str], folder: Path, file: Path | None = None) -> Site:
    """The site for a command that runs in `folder`.

    Args:
        environment: usually `os.environ`; only names that start with `FIELDED_` are looked at. A relative
            path in it is relative to `folder`, one in a site file to that file.
        folder: the working folder; `.fielded/` and a `site.yaml` are looked for here.
        file: a site file named by the user; `FIELDED_SITE` stands in for it.

    Raises:
        DefinitionError: all that is wrong with it.
    """
    found = site_file(environment, folder, file)
    source = CommentedMap() if found is None else read_yaml(found)
    path = found or folder / FILE
    base = path.parent.resolve() if source else folder.resolve()
    values = plain(source)
    overrides, findings = _from_environment(environment, set(_REFERENCE.findall(str(values))))
    values.update(overrides)
    embedded = folder.resolve() / ".fielded"
    values.setdefault("root", str(embedded / "tables"))
    values.setdefault("tracking_uri", f"sqlite:///{embedded / 'mlflow.db'}")
    values.setdefault("artifact_root", str(embedded / "artifacts"))
    values.setdefault("cache", str(embedded / "cache"))
    values.setdefault("journal_url", f"sqlite:///{embedded / 'journal'}")
    values.setdefault("signing_key", f"file:{embedded / 'keys' / 'seal.pem'}")
    problems = _write_out_paths(values, lambda field: folder.resolve() if field in overrides else base)
    findings += [_at(problem, source, path.name) for problem in (*problems, *_problems(values))]
    try:
        site = _SITE.validate_python(values)
    except ValidationError as error:
        findings += findings_of(error, source, path.name, "")
    if findings:
        raise DefinitionError(_from_where_set(finding, overrides) for finding in findings)
    return site


def _problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules between fields, over the raw site, so that one wrong type does not hide another mistake."""
    identity = values.get("identity")
    token = identity.get("development_token") if isinstance(identity, Mapping) else None
    if token is not None and values.get("environment") == "production":
        step = "Take it out and set identity.oidc or identity.proxy"
        field = ("identity", "development_token")
        yield field, "a static token in a production site", "no static token outside development", step


def _write_out_paths(values: dict[str, Any], base_of: Callable[[str], Path]) -> list[Problem]:
    """Make every path in `values` absolute, in place.

    Returns:
        A problem for each that begins with a home folder that this machine does not know.
    """
    problems: list[Problem] = []

    def written_out(value: object, path: tuple[str, ...]) -> object:
        try:
            return _absolute(value, base_of(path[0]))
        except RuntimeError:
            problems.append((path, show(value, ".".join(path)), "a folder whose ~ is known here", ""))
            return value

    for path in _PATHS:
        *parts, name = path
        holder: Any = values
        for part in parts:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or name not in holder:
            continue
        value = holder[name]
        if isinstance(value, list):
            holder[name] = [written_out(item, (*path, str(place))) for place, item in enumerate(value)]
        else:
            holder[name] = written_out(value, path)
    return problems


def _at(problem: Problem, source: CommentedMap, file: str) -> Finding:
    path, got, expected, step = problem
    return Finding(f"{file}:{line_of(source, path)}", ".".join(path), got, expected, step)


def _from_where_set(finding: Finding, overrides: Mapping[str, str]) -> Finding:
    """The finding, named after the variable where the value came from one."""
    if finding.field not in overrides:
        return finding
    return replace(finding, where="environment", field=f"{PREFIX}{finding.field.upper()}")


def _from_environment(
    environment: Mapping[str, str], referred: AbstractSet[str]
) -> tuple[dict[str, str], list[Finding]]:
    """Fields set by variables. A variable that starts as ours do and is none is a finding, for it is most likely a
    misspelt one; not so those that the site refers to, and those that Kubernetes makes for a Service of our name.
    """
    known = set(Site.__dataclass_fields__) - _ONLY_IN_THE_FILE
    values, unknown = {}, []
    for variable, text in environment.items():
        field = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable in (f"{PREFIX}SITE", f"{PREFIX}DEPLOYMENT"):
            continue
        if field in known:
            values[field] = text
        elif variable not in referred and not _OF_A_SERVICE.search(variable):
            names = ", ".join(sorted(f"{PREFIX}{name.upper()}" for name in known))
            unknown.append(Finding("environment", variable, show(text, variable), f"one of {names}"))
    return values, unknown


def _absolute(value: object, base: Path) -> object:
    """A local path, or the path in a URI of one, made absolute against `base`; any other URI as it is."""
    if not isinstance(value, str):
        return value
    scheme = next((opening for opening in _PATH_URIS if value.startswith(opening)), "")
    path = value.removeprefix(scheme)
    if (scheme and not path) or "://" in path or (not scheme and ":" in path.partition("/")[0]):
        return value
    return scheme + os.path.normpath(base / Path(path).expanduser())

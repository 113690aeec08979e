"""Where a deployment runs: never part of it, never travels with it.

Read from site.yaml, then from the environment (`FIELDED_ROOT` stands above `root:`), then the embedded
default: everything under `.fielded/` in the folder the command runs in, no server, no JVM.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml.comments import CommentedMap

from fielded.definition.reading import findings_of, line_of, plain, read_yaml, show
from fielded.words.errors import DefinitionError, Finding

FILE = "site.yaml"
PREFIX = "FIELDED_"

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)


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


_SITE = TypeAdapter(Site)


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
    named = file or (Path(environment[f"{PREFIX}SITE"]) if f"{PREFIX}SITE" in environment else None)
    path = named or folder / FILE
    source = read_yaml(path) if named or path.exists() else CommentedMap()
    base = path.parent.resolve() if source else folder.resolve()
    values = plain(source)
    overrides, findings = _from_environment(environment)
    values.update(overrides)
    embedded = folder.resolve() / ".fielded"
    values.setdefault("root", str(embedded / "tables"))
    values.setdefault("tracking_uri", f"sqlite:///{embedded / 'mlflow.db'}")
    values.setdefault("artifact_root", str(embedded / "artifacts"))
    values.setdefault("cache", str(embedded / "cache"))
    for name in ("root", "artifact_root", "cache"):
        try:
            values[name] = _absolute(values[name], folder.resolve() if name in overrides else base)
        except RuntimeError:  # `~somebody` of whom this machine knows no home
            where = f"{path.name}:{line_of(source, [name])}"
            findings.append(Finding(where, name, show(values[name], name), "a folder whose ~ is known here"))
    try:
        site = _SITE.validate_python(values)
    except ValidationError as error:
        findings += findings_of(error, source, path.name, "")
    if findings:
        raise DefinitionError(_from_where_set(finding, overrides) for finding in findings)
    return site


def _from_where_set(finding: Finding, overrides: Mapping[str, str]) -> Finding:
    """The finding, named after the variable where the value came from one."""
    if finding.field not in overrides:
        return finding
    return replace(finding, where="environment", field=f"{PREFIX}{finding.field.upper()}")


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], list[Finding]]:
    known = set(Site.__dataclass_fields__)
    values, unknown = {}, []
    for variable, text in environment.items():
        field = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable in (f"{PREFIX}SITE", f"{PREFIX}DEPLOYMENT"):
            continue
        if field in known:
            values[field] = text
        elif not field.startswith("chaos"):  # the chaos tests' own settings
            names = ", ".join(sorted(f"{PREFIX}{name.upper()}" for name in known))
            unknown.append(Finding("environment", variable, show(text, variable), f"one of {names}"))
    return values, unknown


def _absolute(value: object, base: Path) -> object:
    """A local path made absolute against the site file's folder; a URI as it is."""
    if not isinstance(value, str) or "://" in value:
        return value
    return os.path.normpath(base / Path(value).expanduser())

"""The sources of sentences beside evidence: the definition, what is public of the site, and what is reckoned.

They are JSON values, the same for the same definition and site, without a path, a host, an identity or a secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import PurePath
from typing import Any

from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.decisions.readiness.items import ITEMS
from fielded.definition.deployment import Deployment, Document
from fielded.definition.site import Site

DEFINITION, SITE, RECKONED = "definition", "site", "reckoned"

OF_THE_MODEL = frozenset({"evaluation", *(item.key for item in ITEMS)})  # evidence that these documents rest on

# Parts of a site's authorization that are files of this machine, or identities of people.
_PRIVATE = frozenset(
    {"catalog", "additions", "vulnerabilities", "sbom", "image_context", "emass_template", "persons"}
)


def plain_values(value: Any) -> Any:
    """Frozen values as JSON values; a path is its file's name, a duration is days."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain_values(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain_values(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(part) for part in value]
    if isinstance(value, frozenset | set):
        return sorted(plain_values(part) for part in value)
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    return _text_of(value)


def _text_of(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.name if isinstance(value, PurePath) else value


def definition_values(deployment: Deployment) -> dict[str, Any]:
    """The definition, with its digest, the categorization's highest level and the baseline that counts."""
    values = {name: plain_values(getattr(deployment, name)) for name in Document.__dataclass_fields__}
    ato = deployment.ato
    values["ato"] |= {"chosen": ato.chosen, "highest": ato.categorization.highest}
    values["features"] = {name: {"name": name, **rule} for name, rule in values["features"].items()}
    tables = [{"name": name, "table": table} for name, table in values["population"]["tables"].items()]
    return {**values, "source_tables": tables, "sha256": deployment.sha256}


def site_values(site: Site) -> dict[str, Any]:
    """What is public of a site: its authorization, and of what kind its parts are."""
    authorization = plain_values(site.authorization)
    identity = site.identity
    kinds = [name for name in ("oidc", "proxy", "development_token") if getattr(identity, name) is not None]
    return {
        **{name: value for name, value in authorization.items() if name not in _PRIVATE},
        "environment": site.environment,
        "engine": site.engine,
        "storage": _kind(site.root),
        "journal": _kind(site.journal_url),
        "signing_key": site.signing_key.partition(":")[0],
        "registry": _kind(site.tracking_uri),
        "identity": kinds,
        "tls": site.api.tls_certificate is not None,
        "anchored": site.checkpoints is not None,
    }


def _kind(uri: str) -> str:
    """`file`, `s3`, `postgresql`: of a URI its scheme alone."""
    scheme, mark, _ = uri.partition(":")
    return scheme if mark and len(scheme) > 1 else "file"


def sources_of(
    collected: Iterable[Evidence], now: datetime, definition: Mapping[str, Any], site: Mapping[str, Any]
) -> Sources:
    """The sources of documents: evidence as it counts at a moment, the definition, the site, what is reckoned.

    Args:
        collected: the last of each id, as it counts for this scope.
        now: UTC.
        definition: see `definition_values`.
        site: see `site_values`.
    """
    return with_reckoned(Sources.of(collected, now, {DEFINITION: definition, SITE: site}))


def with_reckoned(sources: Sources) -> Sources:
    """The same sources, and beside them what is counted of them: checks that held, of how many, and which did not.

    Counted is the evidence about the model; that about controls has counts of its own in the package. Who makes
    a document's sentences anew counts anew too.
    """
    evidence = {key: one for key, one in sorted(sources.documents.items()) if _is_evidence(one)}
    rows = [_counted(key, one, sources) for key, one in evidence.items()]
    of_model = [row for row in rows if row["id"] in OF_THE_MODEL]
    weak = [
        {"evidence": key, **{name: check[name] for name in ("name", "outcome", "got", "expected", "step")}}
        for key, one in evidence.items()
        if key in OF_THE_MODEL
        for check in one["checks"]
        if check["outcome"] != "held"
    ]
    site = sources.documents.get(SITE, {})
    reckoned = {
        "evidence": rows,
        "weak": weak,
        **{name: sum(row[name] for row in of_model) for name in ("checks", "held", "failed", "not_checked")},
        "collected": len(of_model),
        "current": sum(row["state"] == "current" for row in of_model),
        "platforms": len(site.get("platforms") or ()),
    }
    return replace(sources, documents={**sources.documents, RECKONED: reckoned})


def _is_evidence(values: Any) -> bool:
    return isinstance(values, Mapping) and {"checks", "outcome", "valid_until"} <= values.keys()


def _counted(key: str, values: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    found = [check["outcome"] for check in values["checks"]]
    return {
        "id": key,
        "title": values["title"],
        "outcome": values["outcome"],
        "state": sources.unfit.get(key, "current"),
        "checks": len(found),
        "held": found.count("held"),
        "failed": found.count("failed"),
        "not_checked": found.count("not checked"),
        "collected_on": values["at"][:10],
        "until": "its scope changes" if values["valid_until"] is None else values["valid_until"][:10],
        "command": values["command"],
    }

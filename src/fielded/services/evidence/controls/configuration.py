"""Evidence that what runs is what was written down, and that a wrong setting is refused (CM-2, CM-6).

1. The definition that is loaded is on record, with its whole text, under its digest: years later it is still to
   be had.
2. The site's parts as they are now are on record.
3. The newest rows were scored under that definition.
4. The site is a production site: a development site forgives a key made on first use, a static token, an API
   without identities.
5. A definition with a field that nobody knows is refused, on a copy; so is a production site with a static token,
   and an environment variable that is none of fielded's.
"""

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow.dataset as ds

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.ato.changes import SITE_RECORDED
from fielded.decisions.rows import PARTITION
from fielded.definition.loading import load_deployment
from fielded.definition.site import load_site
from fielded.services.ato.site_parts import site_parts
from fielded.services.evidence.collect import Bench, tool
from fielded.services.release.record import about
from fielded.words.errors import DefinitionError
from fielded.world.recent_rows import days_of
from fielded.world.workplace import Workplace

_REPORT = "Report it to those who maintain fielded"
_TOKEN_IN_PRODUCTION = "environment: production\nidentity: {development_token: env:SOME_TOKEN}\n"  # noqa: S105 - a reference


def look(bench: Bench) -> Found:
    """Rules 1, 2, 3 and 5.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    parts = site_parts(workplace.site)
    checks = (
        _definition(workplace),
        _site(workplace, parts),
        _rows(workplace),
        *_refused(workplace),
    )
    facts = {
        "definition_sha256": workplace.deployment.sha256,
        "texts": sorted(workplace.deployment.texts),
        "tool": tool(),
        "parts": len(parts),
    }
    return Found(checks, facts)


def _definition(workplace: Workplace) -> Check:
    """Rule 1."""
    sha256 = workplace.deployment.sha256
    events = workplace.ledger.events_of("definition_recorded", sha256)
    same = bool(events) and events[-1]["details"] == dict(workplace.deployment.texts)
    return Check.of(
        "the definition is on record with its text",
        same,
        got="the same text" if same else ("another text" if events else "none"),
        expected="the text that is loaded, under its digest",
        step="Run `fielded score` or `fielded audit verify`",
    )


def _site(workplace: Workplace, parts: dict[str, object]) -> Check:
    """Rule 2."""
    events = workplace.ledger.events_of(SITE_RECORDED, about(workplace))
    same = bool(events) and events[-1]["details"].get("parts") == parts
    return Check.of(
        "the site's parts are on record",
        same,
        got="the same" if same else ("others" if events else "none"),
        expected="the parts as they are now",
        step="Run `fielded ato collect`, which puts them on record",
    )


def _rows(workplace: Workplace) -> Check:
    """Rule 3."""
    name, expected = "the newest rows were scored under it", "the digest of the definition that is loaded"
    step = "Score a day under this definition: `fielded score`"
    table = workplace.tables.find(workplace.ledger.predictions)
    days = [] if table is None else days_of(table)
    if table is None or not days:
        return Check.missing(name, why="there are no rows", expected=expected, step=step)
    of_day = table.to_pyarrow_dataset().filter(ds.field(PARTITION) == max(days))
    found = of_day.to_table(columns=["definition_sha256"]).column(0).unique().to_pylist()
    under = workplace.deployment.sha256 in found
    got = "this one" if under else f"{len(found)} others, on {max(days)}"
    return (
        Check.of(name, True, got=got, expected=expected)
        if under
        else Check.missing(name, why=got, expected=expected, step=step)
    )


def look_at_environment(bench: Bench) -> Found:
    """Rule 4."""
    return Found((_production(bench.workplace),), {"environment": bench.workplace.site.environment})


def _production(workplace: Workplace) -> Check:
    """Rule 4."""
    name, expected = "the site is a production site", "environment: production"
    environment = workplace.site.environment
    if environment == "production":
        return Check.of(name, True, got=environment, expected=expected)
    return Check.missing(
        name,
        why=f"a {environment} site, whose settings are not those of production",
        expected=expected,
        step="Collect again at the production site",
    )


def _refused(workplace: Workplace) -> tuple[Check, ...]:
    """Rule 5."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        copy = folder / "deployment"
        shutil.copytree(workplace.deployment.folder, copy, ignore=_only_definition)
        file = copy / "deployment.yaml"
        file.write_text(f"{file.read_text('utf-8')}\nunknown_field: 1\n", "utf-8")
        (folder / "site.yaml").write_text(_TOKEN_IN_PRODUCTION)
        tried: dict[str, Callable[[], object]] = {
            "a definition with an unknown field is refused": lambda: load_deployment(copy),
            "a production site with a static token is refused": lambda: load_site({}, folder),
            "a setting that nobody knows is refused": lambda: load_site(
                {"FIELDED_UNKNOWN_SETTING": "1"}, folder / "nowhere"
            ),
        }
        return tuple(_is_refused(name, do) for name, do in tried.items())


def _only_definition(_folder: str, names: list[str]) -> set[str]:
    """What is no part of the definition."""
    return {name for name in names if not name.endswith((".yaml", ".py"))}


def _is_refused(name: str, do: Callable[[], object]) -> Check:
    try:
        do()
    except DefinitionError:
        return Check.of(name, True, got="refused", expected="refused", negative=True)
    return Check.of(name, False, got="taken", expected="refused", step=_REPORT, negative=True)


COLLECTOR: Collector[Bench] = Collector(
    id="configuration",
    title="What runs against what is on record",
    look=look,
    holds_for=timedelta(days=30),
    expected="a ledger with the definition and the site's parts",
)
ENVIRONMENT: Collector[Bench] = Collector(
    id="environment",
    title="What kind of site it is",
    look=look_at_environment,
    holds_for=timedelta(days=30),
    expected="a production site",
)

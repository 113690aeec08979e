"""Evidence of what the system is made of (CM-8), and whether that is what was listed (SR-3).

1. Every installed package is listed with its version, as the interpreter finds it; with it the interpreter, the
   model in production with its digest, the tables that are read and written, and where the API listens.
2. Each package that fielded needs is installed, in a version that it allows.
3. What is installed is what the bill of materials says, each in the same version; what the bill has and is not
   installed is told.
4. A package that the bill has in another version is noticed: tried on a bill with one version changed.
"""

import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import timedelta

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.evidence.collect import Bench
from fielded.services.release.record import state_of
from fielded.world.bills_of_materials import components_of, normal_name
from fielded.world.workplace import Workplace

_BILL = "Have the build write a bill of materials (CycloneDX), and name it in authorization.sbom"
_SHOWN = 5  # packages that a check names


def installed() -> dict[str, str]:
    """Name of each installed package, as PEP 503 compares it -> version."""
    found = {
        normal_name(one.metadata["Name"]): one.version
        for one in importlib.metadata.distributions()
        if one.metadata["Name"]
    }
    return dict(sorted(found.items()))


def look(bench: Bench) -> Found:
    """Rules 1 and 2.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    here = installed()
    needs = _needed()
    lacking = [f"{name} {text}" for name, text in needs.items() if not _allowed(text, here.get(name))]
    production = state_of(workplace).production
    checks = (
        Check.of(
            "packages are listed as they are found",
            bool(here),
            got=f"{len(here)} packages",
            expected="at least one",
            step="Look at the interpreter that runs fielded",
        ),
        Check.of(
            "each package that fielded needs is there, in a version that it allows",
            not lacking,
            got=f"not so: {', '.join(lacking[:_SHOWN])}" if lacking else f"all {len(needs)}",
            expected="all of them",
            step="Install from the locked requirements",
        ),
        Check.of(
            "the model in production is listed with its digest",
            production is not None,
            got=f"version {production.version}" if production else "nothing is in production",
            expected="a version and its digest",
            step="Promote or adopt a version",
        ),
    )
    facts = {
        "distributions": [{"name": name, "version": version} for name, version in here.items()],
        "count": len(here),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "model": None if production is None else {"name": workplace.deployment.model.name, **production.as_dict()},
        "tables": _tables(workplace),
        "port": workplace.site.api.port,
        "needed": len(needs),
    }
    return Found(checks, facts)


def _needed() -> dict[str, str]:
    """What fielded's package asks for, without its extras."""
    asked = [Requirement(text) for text in importlib.metadata.requires("fielded") or ()]
    return {
        normal_name(one.name): str(one.specifier)
        for one in asked
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def _allowed(specifier: str, version: str | None) -> bool:
    return version is not None and SpecifierSet(specifier).contains(version, prereleases=True)


def _tables(workplace: Workplace) -> list[dict[str, str]]:
    population = workplace.deployment.population.tables
    ledger = {"predictions": workplace.ledger.predictions, "events": workplace.ledger.events}
    return [
        *({"name": table, "use": "read"} for table in population.values()),
        *({"name": table, "use": "ledger"} for table in ledger.values()),
        {"name": workplace.deployment.batch.output, "use": "written"},
    ]


def look_at_bill(bench: Bench) -> Found:
    """Rules 3 and 4.

    Raises:
        WrongUse: what the site names is no bill of materials.
        Unreachable: it cannot be read.
    """
    path = bench.workplace.site.authorization.sbom
    if path is None:
        check = Check.missing(
            "what is installed is what the bill of materials says",
            why="the site names no bill",
            expected="a bill of materials, and the same packages",
            step=_BILL,
        )
        return Found((check,), {})
    listed, here = components_of(path), installed()
    otherwise = differing(here, listed)
    gone = sorted(set(listed) - set(here))
    name = next((one for one in listed if one in here and one not in otherwise), None)
    changed = {**listed, **({} if name is None else {name: f"{listed[name]}.changed"})}
    checks = [
        Check.of(
            "what is installed is what the bill of materials says",
            not otherwise and bool(listed),
            got=f"otherwise or not in it: {', '.join(otherwise[:_SHOWN])}"
            if otherwise
            else f"{len(here)} packages",
            expected="each package in the bill, in this version",
            step=_BILL,
        ),
        Check.of(
            "another version in the bill is noticed",
            name is not None and name in differing(here, changed),
            got="noticed" if name is not None and name in differing(here, changed) else "not noticed",
            expected="noticed",
            step=_BILL,
            negative=True,
        ),
    ]
    facts = {"listed": len(listed), "installed": len(here), "differing": len(otherwise), "not_installed": gone}
    return Found(tuple(checks), facts)


def differing(here: Mapping[str, str], listed: Mapping[str, str]) -> list[str]:
    """Packages that are installed and not in a bill, or in another version."""
    return sorted(name for name, version in here.items() if listed.get(name) != version)


COLLECTOR: Collector[Bench] = Collector(
    id="inventory",
    title="What the system is made of",
    look=look,
    holds_for=timedelta(days=30),
    expected="a ledger that can be read",
)
BILL: Collector[Bench] = Collector(
    id="bill-of-materials",
    title="What is installed against what was listed",
    look=look_at_bill,
    holds_for=timedelta(days=30),
    expected="a bill of materials that can be read",
)

"""Evidence of how what is kept is protected (SC-28).

1. Tables, journal and copies of model files lie on an encrypted disk. Where the disk does not say so (a cloud
   volume, a bucket, a disk that encrypts itself), it is up to the platform, and not seen here.
2. Nobody else on this machine can read or write there.
3. What is changed at rest is found: by the seals (`audit-probe`, `audit-protection`), not here.
"""

from datetime import timedelta
from pathlib import Path

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.definition.site import Site
from fielded.services.evidence.collect import Bench
from fielded.world.host_state import encrypted_disk, open_to_others
from fielded.world.secrets import path_of

_NAMED = "Name the platform whose storage is encrypted under `shared`, with its evidence; or use an encrypted disk"
_CLOSE = "Take the others' rights away: chmod -R o-rwx on the folder"


def look(bench: Bench) -> Found:
    """Rule 2."""
    places = _places(bench.workplace.site)
    return Found(tuple(_closed(places)), {"places": len(places), "looked_at": list(places)})


def look_at_disks(bench: Bench) -> Found:
    """Rule 1."""
    site = bench.workplace.site
    seen = {what: encrypted_disk(path) for what, path in _places(site).items()}
    encrypted = [what for what, yes in seen.items() if yes]
    unknown = [*(what for what, yes in seen.items() if not yes), *_elsewhere(site)]
    name, expected = "what is kept lies encrypted", "dm-crypt below every folder"
    if unknown or not encrypted:
        why = f"not to be seen of: {', '.join(unknown)}" if unknown else "there is nothing yet"
        check = Check.missing(name, why=why, expected=expected, step=_NAMED)
    else:
        check = Check.of(name, True, got=f"all {len(encrypted)} places", expected=expected)
    return Found((check,), {"encrypted": len(encrypted), "not_seen": unknown})


def _places(site: Site) -> dict[str, Path]:
    """Folders of this machine that hold what must be protected, by what they hold."""
    found = {"copies of model files": site.cache}
    if "://" not in site.root:
        found["tables"] = Path(site.root)
    if site.journal_url.startswith("sqlite:///"):
        found["journal"] = Path(site.journal_url.removeprefix("sqlite:///"))
    if site.signing_key.startswith("file:"):
        found["signing key"] = path_of(site.signing_key).parent
    return {what: path for what, path in found.items() if path.exists()}


def _elsewhere(site: Site) -> list[str]:
    """What lies on no disk of this machine."""
    return [
        *(["tables"] if "://" in site.root else []),
        *([] if site.journal_url.startswith("sqlite:///") else ["journal"]),
    ]


def _closed(places: dict[str, Path]) -> list[Check]:
    """Rule 2."""
    readable, writable, unread = [], [], []
    for what, path in places.items():
        try:
            reads, writes = open_to_others(path)
        except OSError:
            unread.append(what)
            continue
        readable += [what] if reads else []
        writable += [what] if writes else []
    whole = f"not to be seen of: {', '.join(unread)}" if unread else "of none"
    return [
        Check.of("nobody else can read it", not readable and not unread, got=", ".join(readable) or whole,
                 expected="of none", step=_CLOSE, negative=True),
        Check.of("nobody else can write it", not writable and not unread, got=", ".join(writable) or whole,
                 expected="of none", step=_CLOSE, negative=True),
    ]  # fmt: skip


COLLECTOR: Collector[Bench] = Collector(
    id="at-rest",
    title="Who can read and write what is kept",
    look=look,
    holds_for=timedelta(days=30),
    expected="a site with its folders",
)
DISKS: Collector[Bench] = Collector(
    id="disk-encryption",
    title="Whether what is kept lies encrypted",
    look=look_at_disks,
    holds_for=timedelta(days=30),
    expected="disks that say whether they are encrypted",
)

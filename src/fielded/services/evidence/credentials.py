"""Evidence that credentials lie in a secrets manager and nowhere else (IA-5, IA-5(7), SC-28).

1. Every reference of the site (`env:`, `file:`, `aws-secretsmanager:`) resolves now. Values are never told, kept
   or compared.
2. A file with a secret, and the private key in one, is its owner's alone.
3. No URL of the site has a password in it.
4. A scan of the deployment's folder and of site.yaml finds nothing that looks like a secret. Lines that say of
   themselves that they hold none are counted and told. Without a site.yaml its values are scanned as they were
   read.
5. The scan works: a made-up credential in a file of its own is found.
"""

import base64
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.evidence.collect import Bench
from fielded.words.errors import FieldedError, WrongUse
from fielded.world.secret_scan import Scanned, scan
from fielded.world.secrets import SCHEMES, path_of, resolve_secret
from fielded.world.workplace import Workplace

_EXPECTED = "every reference resolves, and no secret in any file"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_NAMED = 12
_KEYS = ("signing_key", "api.tls_key")  # private keys, which are files and not texts
_NO_URLS = frozenset({"file", "env", "aws-secretsmanager", "aws-kms"})


def look(bench: Bench) -> Found:
    """Rules 1 to 5."""
    workplace = bench.workplace
    values = dict(_values(workplace.site))
    references = {
        name: text for name, text in values.items() if text.partition(":")[0] in SCHEMES and _secret(name)
    }
    checks = [_resolve(references), _private(values, references), _urls(values)]
    scanned, found = _scan(bench, values)
    facts: dict[str, Any] = {
        "references": [{"field": name, "scheme": text.partition(":")[0]} for name, text in references.items()],
        "files_scanned": 0 if scanned is None else len(scanned.files),
        "lines_allowed": 0 if scanned is None else scanned.allowed,
        "hits": [] if scanned is None else [str(hit) for hit in scanned.hits],
    }
    return Found((*checks, *found), facts)


def _secret(name: str) -> bool:
    """Whether a field holds a reference to a secret; keys in files are looked at by rule 2 alone."""
    return name.rpartition(".")[2] in ("secret", "password", "token", "development_token")


def _values(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a site with its field's path."""
    if is_dataclass(value):
        for one in fields(value):
            yield from _values(getattr(value, one.name), f"{path}.{one.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _values(item, f"{path}.{key}")
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            yield from _values(item, f"{path}.{place}")
    elif isinstance(value, str | Path):
        yield path, str(value)


def _resolve(references: Mapping[str, str]) -> Check:
    """Rule 1."""
    broken = []
    for name, reference in references.items():
        try:
            resolve_secret(reference)
        except FieldedError as error:
            broken.append(f"{name}: {error}")
    return Check.of(
        "every reference of a secret resolves",
        not broken,
        got="; ".join(broken) or f"{len(references)} of {len(references)}",
        expected=f"all {len(references)} that site.yaml has",
        step="Set the variable or put the secret where the reference says",
    )


def _private(values: Mapping[str, str], references: Mapping[str, str]) -> Check:
    """Rule 2."""
    named = {name: text for name, text in references.items() if text.startswith("file:")}
    named |= {name: values[name] for name in _KEYS if values.get(name, "").startswith(("file:", "/"))}
    exposed, looked = [], 0
    for name, reference in named.items():
        try:
            mode = path_of(reference).stat().st_mode
        except OSError:
            continue  # rule 1 says so of a secret; a key that is made on first use is not there yet
        looked += 1
        if mode & _OTHERS:
            exposed.append(f"{name} {stat.S_IMODE(mode):04o}")
    return Check.of(
        "files with secrets are their owner's alone",
        not exposed,
        got=", ".join(exposed) or f"{looked} of {looked}",
        expected="no permission for group or others",
        step="chmod 600 the file, or mount it so",
    )


def _urls(values: Mapping[str, str]) -> Check:
    """Rule 3."""
    found = [name for name, text in values.items() if _has_password(text)]
    return Check.of(
        "no URL of the site has a password in it",
        not found,
        got=", ".join(found) or "none",
        expected="none",
        step="Take it out: a PostgreSQL client reads PGPASSFILE, MLflow its own variables",
    )


def _has_password(text: str) -> bool:
    if "://" not in text or text.partition(":")[0] in _NO_URLS:
        return False
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.password is not None or "password=" in url.query.lower()


def _scan(bench: Bench, values: Mapping[str, str]) -> tuple[Scanned | None, list[Check]]:
    """Rules 4 and 5."""
    name, works = "nothing in the folder or the site looks like a secret", "a made-up credential is found"
    expected = "no hit in the deployment's folder and site.yaml"
    try:
        with tempfile.TemporaryDirectory(prefix="fielded-scan-") as folder:
            scanned = scan([(".", bench.workplace.deployment.folder), _site(bench, values, Path(folder))])
            planted = scan([("planted", _plant(Path(folder), bench.workplace))])
    except WrongUse as error:
        return None, [
            Check.missing(name, why=str(error), expected=expected, step='pip install "fielded[ato]"'),
            Check.missing(works, why=str(error), expected="a hit", negative=True),
        ]
    hits = ", ".join(str(hit) for hit in scanned.hits[:_MOST_NAMED])
    told = f"{len(scanned.files)} files, {len(scanned.hits)} hits" + (f": {hits}" if hits else "")
    told += f"; {scanned.allowed} lines say that they hold none" if scanned.allowed else ""
    told += f"; not read: {', '.join(scanned.passed_over[:_MOST_NAMED])}" if scanned.passed_over else ""
    clean = not scanned.hits and not scanned.passed_over
    step = (
        "Take it out, make a new one, put a reference in its place; a line that holds none says so with a pragma"
    )
    return scanned, [
        Check.of(name, clean, got=told, expected=expected, step=step),
        Check.of(
            works,
            bool(planted.hits),
            got=f"{len(planted.hits)} hits",
            expected="a hit: the scan sees what it looks for",
            step="Install detect-secrets anew: its detectors do not work",
            negative=True,
        ),
    ]


def _site(bench: Bench, values: Mapping[str, str], folder: Path) -> tuple[str, Path]:
    if bench.site_file is not None:
        return bench.site_file.name, bench.site_file
    written = folder / "site.json"
    written.write_text(json.dumps(dict(values), indent=1), encoding="utf-8")
    return "site (as read)", written


def _plant(folder: Path, workplace: Workplace) -> Path:
    """A file with what looks like a credential and is none: random, so nobody can mistake it for one in use."""
    made = base64.b32encode(workplace.random_bytes(10)).decode()
    path = folder / "planted.py"
    path.touch(mode=0o600)
    path.write_text(f'aws_access_key_id = "AKIA{made}"{os.linesep}', encoding="utf-8")
    return path


COLLECTOR: Collector[Bench] = Collector(
    id="credentials",
    title="Credentials lie in a secrets manager and nowhere else",
    look=look,
    holds_for=timedelta(days=30),
    expected=_EXPECTED,
)

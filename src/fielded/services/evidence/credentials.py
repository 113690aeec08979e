"""Evidence that credentials lie in a secrets manager and nowhere else (IA-5, IA-5(7), SC-28).

1. Every reference of the site (`env:`, `file:`, `aws-secretsmanager:`) resolves now. Values are never told, kept
   or compared.
2. A private key's file is its owner's alone. A file with a secret may be read by its group, as a cluster mounts
   it, and by nobody else.
3. No URL of the site has a password in it.
4. A scan of the deployment's folder with the definition, of site.yaml, of the site's values as they were read (a
   variable may stand above the file), and of the folder that the image is built from, where the site names one,
   finds nothing that looks like a secret. A file that was not read is in the way. Lines that say that they hold
   none, and folders that were not entered, are told.
5. The scan works: a made-up credential in a file of its own is found.
"""

import base64
import json
import os
import re
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
_NOT_A_KEY = stat.S_IRWXG | stat.S_IRWXO
_NOT_A_SECRET = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_MOST_NAMED = 12
_KEYS = ("signing_key", "api.tls_key")  # private keys, which are files and not texts
_PASSWORD = re.compile(r"://[^/]*:[^/]*@")
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
        **({} if scanned is None else _told(scanned)),
        "image_context": workplace.site.authorization.image_context is not None,
    }
    return Found((*checks, *found), facts)


def _told(scanned: Scanned) -> dict[str, Any]:
    return {
        "files_scanned": len(scanned.files),
        "hits": [str(hit) for hit in scanned.hits],
        "lines_allowed": len(scanned.allowed),
        "allowed": list(scanned.allowed),
        "files_not_read": list(scanned.not_read),
        "folders_not_entered": list(scanned.not_entered),
    }


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
    named = [(name, text, _NOT_A_SECRET) for name, text in references.items() if text.startswith("file:")]
    keys = [(name, values[name], _NOT_A_KEY) for name in _KEYS if name in values]
    named += [one for one in keys if one[1].startswith(("file:", "/"))]
    exposed, looked = [], 0
    for name, reference, too_much in named:
        try:
            mode = path_of(reference).stat().st_mode
        except OSError:
            continue  # rule 1 says so of a secret; a key that is made on first use is not there yet
        looked += 1
        if mode & too_much:
            exposed.append(f"{name} {stat.S_IMODE(mode):04o}")
    return Check.of(
        "files with secrets are their owner's alone",
        not exposed,
        got=", ".join(exposed) or f"{looked} of {looked}",
        expected="a key for its owner alone, a secret for its owner and readers of its group",
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
    except ValueError:  # a bracket in the password is enough
        return _PASSWORD.search(text) is not None
    return url.password is not None or "password=" in url.query.lower()


def _scan(bench: Bench, values: Mapping[str, str]) -> tuple[Scanned | None, list[Check]]:
    """Rules 4 and 5."""
    name, works = "nothing that is deployed looks like a secret", "a made-up credential is found"
    expected = "no hit in the deployment's folder, the site and the folder of the image, and every file read"
    try:
        with tempfile.TemporaryDirectory(prefix="fielded-scan-") as folder:
            scanned = scan(_places(bench, values, Path(folder)))
            planted = scan([("planted", _plant(Path(folder), bench.workplace))])
    except WrongUse as error:
        return None, [
            Check.missing(name, why=str(error), expected=expected, step='pip install "fielded[ato]"'),
            Check.missing(works, why=str(error), expected="a hit", negative=True),
        ]
    step = (
        "Take it out, make a new one, put a reference in its place; a line that holds none says so with a pragma, "
        "and what was not read is unpacked or taken out"
    )
    return scanned, [
        Check.of(
            name,
            not scanned.hits and not scanned.not_read,
            got=_seen(bench, scanned),
            expected=expected,
            step=step,
        ),
        Check.of(
            works,
            bool(planted.hits),
            got=f"{len(planted.hits)} hits",
            expected="a hit: the scan sees what it looks for",
            step="Install detect-secrets anew: its detectors do not work",
            negative=True,
        ),
    ]


def _seen(bench: Bench, scanned: Scanned) -> str:
    parts = [f"{len(scanned.files)} files, {len(scanned.hits)} hits"]
    told = [
        ("", scanned.hits),
        ("not read: ", scanned.not_read),
        ("lines that say that they hold none: ", scanned.allowed),
        ("not entered: ", scanned.not_entered),
    ]
    for words, found in told:
        if found:
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            parts.append(words + ", ".join(str(one) for one in found[:_MOST_NAMED]) + more)
    if bench.workplace.site.authorization.image_context is None:
        parts.append("the site names no folder that an image is built from")
    return "; ".join(parts)


def _places(bench: Bench, values: Mapping[str, str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Rule 4."""
    yield ".", bench.workplace.deployment.folder
    if bench.site_file is not None:
        yield bench.site_file.name, bench.site_file
    written = folder / "site.json"
    written.touch(mode=0o600)
    written.write_text(json.dumps(dict(values), indent=1), encoding="utf-8")
    yield "site (as read)", written
    image = bench.workplace.site.authorization.image_context
    if image is not None:
        yield "image", image


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

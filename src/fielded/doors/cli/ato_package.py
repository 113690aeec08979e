"""`fielded ato package`, `verify` and `diff`."""

from pathlib import Path
from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, load, now
from fielded.doors.cli.rendering import findings_json, out, print_json, print_table
from fielded.services.ato.diff import diff as run_diff
from fielded.services.ato.package import build
from fielded.services.ato.verify import Verified, open_package
from fielded.services.ato.verify import verify as run_verify
from fielded.words.errors import DefinitionError, WrongUse
from fielded.world.keys import PublicKey, public_key, trusted_keys

Into = Annotated[Path, typer.Option("--out", help="Folder for the archive and its signature.")]
Package = Annotated[Path, typer.Argument(help="Archive that `fielded ato package` wrote.")]
Key = Annotated[
    Path | None, typer.Option("--key", help="Public key (PEM) that you trust; else those of the site.")
]
Schemas = Annotated[
    Path | None, typer.Option("--schemas", help="Folder or zip file with NIST's JSON schemas of OSCAL.")
]


def package(
    into: Into = Path("package"), deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Build and sign the authorization package from what is on record. Collects nothing."""
    built = build(open_from(deployment, site), into)
    counts = built.manifest["counts"]
    if as_json:
        print_json({
            "path": str(built.path), "signature": str(built.signature), "sha256": built.sha256,
            "as_of": built.manifest["as_of"], "key_id": built.key_id, "counts": counts,
        })  # fmt: skip
        return
    said = counts["sentences"]
    out.print(f"{built.path}, sha256 {built.sha256}", markup=False)
    out.print(f"  as of {built.manifest['as_of']}, signed by key {built.key_id[:16]}", markup=False)
    out.print(
        f"  {counts['controls']} controls, {counts['evidence']} pieces of evidence, {counts['weaknesses']} open "
        f"weaknesses; of {sum(said.values())} sentences {said['evidenced']} evidenced, {said['attested']} "
        f"attested, {said['not_evidenced']} not evidenced",
        markup=False,
    )
    out.print(f"Look at it again with `fielded ato verify {built.path}`", markup=False)


def verify(
    path: Package,
    key: Key = None,
    schemas: Schemas = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Whether a package is what was signed and says what its evidence says. Exits with 1 where it is not."""
    found = run_verify(path, _keys(key, deployment, site), now(), schemas)
    if as_json:
        print_json({
            "holds": found.holds, "sha256": found.package.sha256, "key_id": found.key_id,
            "findings": findings_json(found.findings), "told": list(found.told),
            "unchecked": list(found.unchecked), "counts": dict(found.counts),
        })  # fmt: skip
    else:
        _print(found)
    raise typer.Exit(0 if found.holds else 1)


def diff(before: Package, after: Package, as_json: Json = False) -> None:
    """What differs between two packages, and which controls that touches: what a re-authorization reads."""
    found = run_diff(open_package(before), open_package(after))
    if as_json:
        print_json(found.as_dict())
        return
    if found.differences:
        print_table(
            ("what", "name", "was", "is"), [(one.kind, one.name, one.was, one.now) for one in found.differences]
        )
    else:
        out.print("Nothing differs.", markup=False)
    if found.collected_again:
        out.print(
            f"{found.collected_again} pieces of evidence were collected again and say the same", markup=False
        )
    for control, commands in found.retest.items():
        out.print(f"{control.upper()}: " + "; ".join(commands), markup=False)


def _keys(key: Path | None, deployment: Path, site: Path | None) -> tuple[PublicKey, ...]:
    """The key that was named; else those of the site, where there is one: an assessor has neither."""
    if key is not None:
        return (public_key(f"file:{key.resolve()}"),)
    try:
        return trusted_keys(load(deployment, site)[1])
    except (DefinitionError, WrongUse):
        if site is not None:
            raise
        return ()


def _print(found: Verified) -> None:
    for one in found.findings:
        out.print(f"WRONG {one}", markup=False)
    for text in found.unchecked:
        out.print(f"not checked: {text}", markup=False)
    for text in found.told:
        out.print(text, markup=False)
    counts = found.counts
    signed = f"signed by trusted key {found.key_id[:16]}" if found.key_id else "not signed by a trusted key"
    out.print(
        f"{counts['files']} files, {counts['evidence']} pieces of evidence, {counts['sentences']} sentences made "
        f"anew: {len(found.findings)} wrong; {signed}",
        markup=False,
    )

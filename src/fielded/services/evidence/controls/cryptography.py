"""Evidence of keys (SC-12) and of the cryptography that is used (SC-13).

1. The site's key signs, and its public half verifies: tried on a text that is no checkpoint.
2. A changed text, and the same text under another key, do not verify.
3. Its algorithm is one of FIPS 186-5; so are those of the tokens that are believed.
4. The private half is its keeper's alone, or lies in a key service.
5. The cryptographic module runs in FIPS mode: it refuses what FIPS does not approve. Which validated module it
   is, the site names; fielded cannot see a certificate.
"""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.audit_protection import guarded
from fielded.words.errors import FieldedError
from fielded.world.host_state import fips_of_kernel, module_name, module_refuses_unapproved
from fielded.world.keys import FileSigner, open_signer, trusted_keys
from fielded.world.workplace import Workplace

_APPROVED_KEYS = ("Ed25519", "ECDSA-P256")  # FIPS 186-5
_APPROVED_TOKENS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TEXT = b"fielded: a text that is no checkpoint, signed to see that the key works\n"
_REPORT = "Do not rely on this key before this is understood. Report it to those who maintain fielded"
_FIPS = "Run a host and a cryptographic module in FIPS mode, and name the module in authorization.fips_module"


def look_at_keys(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        FieldedError: no key is believed here.
    """
    workplace = bench.workplace
    keys = trusted_keys(workplace.site)
    other = sorted({key.algorithm for key in keys} - {*_APPROVED_KEYS})
    checks = (
        *_signs(workplace),
        Check.of("every key that is believed is of an approved kind", bool(keys) and not other,
                 got=", ".join(sorted({key.algorithm for key in keys})) or "no key",
                 expected="Ed25519, or ECDSA on P-256 (FIPS 186-5)", step="Make a key of that kind, and rotate"),
        guarded(workplace),
    )  # fmt: skip
    facts: dict[str, object] = {
        "key_ids": [key.key_id for key in keys],
        "algorithms": sorted({key.algorithm for key in keys}),
        "believed": len(keys),
        "before_rotation": len(workplace.site.trusted_keys),
        "held": workplace.site.signing_key.partition(":")[0],
    }
    return Found(checks, facts)


def _signs(workplace: Workplace) -> Iterator[Check]:
    """Rules 1 and 2."""
    name, expected = "the site's key signs, and its public half verifies", "a signature that verifies"
    try:
        signer = open_signer(workplace.site)
        signature = signer.sign(_TEXT)
    except FieldedError as error:
        yield Check.missing(name, why=str(error), expected=expected, step="Collect as who keeps the signing key")
        return
    good = signer.public_key.verify(signature, _TEXT)
    yield Check.of(name, good, got="it verifies" if good else "it does not", expected=expected, step=_REPORT)
    with tempfile.TemporaryDirectory() as folder:
        stranger = FileSigner(Path(folder) / "stranger.pem", development=True).public_key
    wrong = {
        "a changed text does not verify": signer.public_key.verify(signature, _TEXT.replace(b"works", b"knows")),
        "a signature does not verify under another key": stranger.verify(signature, _TEXT),
    }
    for what, verified in wrong.items():
        yield Check.of(what, not verified, got="it verifies" if verified else "it does not",
                       expected="it does not", step=_REPORT, negative=True)  # fmt: skip


def look_at_algorithms(bench: Bench) -> Found:
    """Rule 3."""
    oidc = bench.workplace.site.identity.oidc
    algorithms = () if oidc is None else oidc.algorithms
    weak = [one for one in algorithms if one not in _APPROVED_TOKENS]
    keys = trusted_keys(bench.workplace.site)
    other = sorted({key.algorithm for key in keys} - {*_APPROVED_KEYS})
    checks = (
        Check.of("tokens are believed by approved signatures only", not weak,
                 got=", ".join(algorithms) or "no tokens are believed here", expected="signatures of FIPS 186-5",
                 step="Take the others out of identity.oidc.algorithms"),
        Check.of("seals are of an approved kind", bool(keys) and not other,
                 got=", ".join(sorted({key.algorithm for key in keys})) or "no key",
                 expected="Ed25519, or ECDSA on P-256 (FIPS 186-5)", step="Make a key of that kind, and rotate"),
    )  # fmt: skip
    return Found(checks, {"library": module_name(), "tokens": list(algorithms), "hash": "SHA-256",
                          "seals": sorted({key.algorithm for key in keys})})  # fmt: skip


def look_at_module(bench: Bench) -> Found:
    """Rule 5."""
    site = bench.workplace.site
    refuses, module = module_refuses_unapproved(), site.authorization.fips_module
    name, expected = "the cryptographic module refuses what FIPS does not approve", "MD5 refused"
    if refuses:
        mode = Check.of(name, True, got="refused", expected=expected, negative=True)
    elif site.environment == "production":
        mode = Check.of(name, False, got="MD5 given", expected=expected, step=_FIPS, negative=True)
    else:
        mode = Check.missing(name, why=f"MD5 given; a {site.environment} site need not run such a module",
                             expected=expected, step=_FIPS, negative=True)  # fmt: skip
    named, asked = "the validated module is named", "module and certificate in authorization.fips_module"
    told = (
        Check.of(named, True, got=module, expected=asked)
        if module
        else Check.missing(named, why="the site names none", expected=asked, step=_FIPS)
    )
    facts: dict[str, object] = {"library": module_name(), "fips_of_kernel": fips_of_kernel(),
                                "refuses_unapproved": refuses, "module": module}  # fmt: skip
    return Found((mode, told), facts)


KEYS: Collector[Bench] = Collector(
    id="keys",
    title="The keys that seal, and those that are believed",
    look=look_at_keys,
    holds_for=timedelta(days=30),
    expected="a site with a signing key",
)
CRYPTOGRAPHY: Collector[Bench] = Collector(
    id="cryptography",
    title="Algorithms of seals and tokens",
    look=look_at_algorithms,
    holds_for=timedelta(days=30),
    expected="keys that are believed",
)
MODULE: Collector[Bench] = Collector(
    id="fips-module",
    title="The cryptographic module that computes",
    look=look_at_module,
    holds_for=timedelta(days=30),
    expected="a module in FIPS mode, with its name",
)

"""System and communications protection."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_SENT = "transmission"

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "sc-5",
        does(
            "Size of a body, rows of a request, requests and rows at once, and requests of one identity in a "
            "minute have limits; who is not known takes no place, and whoever is beyond a limit keeps nobody "
            "else out.",
            "resource-limits",
        ),
        seen(
            "A body may have {bytes:,} bytes, a request {rows:,} rows, and {flight:,} requests are answered at "
            "once in a worker.",
            bytes="resource-limits#/facts/limits/max_body_bytes",
            rows="resource-limits#/facts/limits/max_batch_rows",
            flight="resource-limits#/facts/limits/max_in_flight",
        ),
        evidence=("resource-limits", "rate-limit"),
        code=("doors/serving/limits.py", "doors/serving/guard.py", "doors/serving/connections.py"),
        tests=("services/evidence/test_controls_api.py", "doors/serving/test_serving_attacks.py"),
        examine=("site.yaml, `api`",),
        interview=("who keeps the network",),
        left="Protection against floods on the network, before they reach the API",
    ),
    implement(
        "sc-8",
        does("The API speaks TLS with a certificate of its own.", _SENT),
        does("Other connections that the site names go over TLS, or stay on the machine.", "connections"),
        seen(
            "Agreed on was {version} with {cipher}.",
            version=f"{_SENT}#/facts/version",
            cipher=f"{_SENT}#/facts/cipher",
        ),
        evidence=(_SENT, "connections"),
        code=("doors/serving/worker.py", "definition/serving.py", "world/tls_probe.py"),
        tests=("services/evidence/test_controls_records.py", "definition/test_site_serving.py"),
        examine=("site.yaml, `api.tls_certificate`", "facts of the evidence `transmission`: every connection"),
        interview=("who keeps the network",),
        left="TLS where a proxy or a mesh ends it, and on the platform's own connections",
    ),
    implement(
        "sc-8.1",
        does("What is sent is protected by TLS with approved ciphers.", _SENT, "fips-module"),
        evidence=(_SENT, "fips-module"),
        code=("doors/serving/worker.py", "world/tls_probe.py"),
        tests=("services/evidence/test_controls_records.py",),
        examine=("facts of the evidence `transmission`",),
        interview=("who keeps the network",),
        left="TLS where a proxy or a mesh ends it, and on the platform's own connections",
    ),
    implement(
        "sc-12",
        does(
            "The key that seals lies in a file of its keeper alone or in a key service, "
            "and is rotated by naming the one before among those that are believed.",
            "keys",
        ),
        seen(
            "{believed} keys are believed, of kind {algorithms}.",
            believed="keys#/facts/believed",
            algorithms="keys#/facts/algorithms",
        ),
        evidence=("keys",),
        code=("world/keys.py", "world/key_files.py"),
        tests=("world/test_keys.py", "services/evidence/test_controls_records.py"),
        examine=("site.yaml, `signing_key` and `trusted_keys`", "docs/ledger.md"),
        interview=("who keeps the signing key",),
        left="Keys of TLS, of storage and of the identity provider",
    ),
    implement(
        "sc-13",
        does(
            "Digests are SHA-256, seals are Ed25519 or ECDSA P-256, tokens are believed by approved signatures "
            "alone.",
            "cryptography",
        ),
        seen("The library is {library}.", library="cryptography#/facts/library"),
        evidence=("cryptography", "fips-module"),
        code=("world/keys.py", "world/identity/key_sets.py", "words/digests.py"),
        tests=("world/test_keys.py", "world/identity/test_key_sets.py"),
        examine=("site.yaml, `authorization.fips_module`", "the module's certificate"),
        interview=("who keeps the host",),
        left="A validated cryptographic module in FIPS mode",
    ),
    implement(
        "sc-28",
        does(
            "What is kept is sealed, so that a change is found, and is closed to others on the machine.",
            "at-rest",
            "audit-protection",
        ),
        seen(
            "Of {places} places {encrypted} are seen to lie on an encrypted disk.",
            places="at-rest#/facts/places",
            encrypted="disk-encryption#/facts/encrypted",
        ),
        evidence=("at-rest", "audit-protection", "disk-encryption"),
        code=("world/host_state.py", "services/seal.py", "world/key_files.py"),
        tests=("services/evidence/test_controls_records.py", "world/test_host_state.py"),
        examine=("how the disks and buckets are encrypted",),
        interview=("who keeps the storage",),
        left="Encryption of disks, volumes and buckets, and of their backups",
    ),
)

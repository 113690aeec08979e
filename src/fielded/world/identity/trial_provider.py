"""A provider of tokens for a scratch site: its key is made here, trusted nowhere else, and forgotten at the end.

With it the guard is asked as callers of every role would ask, and as somebody would who forges a token.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from fielded.definition.serving import ROLES, Algorithm, Oidc, Role

ISSUER, AUDIENCE = "https://provider.invalid", "fielded-scratch"  # a name that no one can have (RFC 2606)
_ALGORITHM: Algorithm = "ES256"
_NAME = "scratch"
_LASTS = timedelta(minutes=10)

Claims = Mapping[str, Any]


class TrialProvider:
    """Signs tokens, and publishes its key in a file.

    Args:
        folder: takes the key set.
        clock: the time now, UTC.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._place = folder / "provider.json"
        published = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        self._place.write_text(json.dumps({"keys": [{**published, "kid": _NAME, "use": "sig"}]}))

    def oidc(self) -> Oidc:
        """A site's settings that believe this provider."""
        grants: dict[Role, tuple[str, ...]] = {role: (role,) for role in sorted(ROLES)}
        return Oidc(
            issuer=ISSUER, audience=AUDIENCE, jwks=f"file:{self._place}", algorithms=(_ALGORITHM,), roles=grants
        )

    def token(self, subject: str, roles: Sequence[Role]) -> str:
        """A good token of somebody."""
        return self._signed(self._claims(subject, roles), self._key)

    def headers(self, subject: str, roles: Sequence[Role]) -> dict[str, str]:
        """What somebody sends."""
        return {"Authorization": f"Bearer {self.token(subject, roles)}"}

    def forgeries(self) -> Iterator[tuple[str, str]]:
        """Tokens that nobody may believe: what is wrong with each, and the token. All claim every role."""
        claims = self._claims("forger", sorted(ROLES))
        now = self._clock()
        stranger = ec.generate_private_key(ec.SECP256R1())
        good = self._signed(claims, self._key)
        head, _, signature = good.split(".")
        yield "signed by another key", self._signed(claims, stranger)
        yield "not signed", jwt.encode(claims, "", algorithm="none")
        yield (
            "signed with a shared secret",
            jwt.encode(
                claims,
                base64.b64encode(self._place.read_bytes()).decode(),
                algorithm="HS256",
                headers={"kid": _NAME},
            ),
        )
        yield "signature of other claims", f"{head}.{_encoded({**claims, 'sub': 'admiral'})}.{signature}"
        yield "of another issuer", self._signed({**claims, "iss": "https://other.invalid"}, self._key)
        yield "for another audience", self._signed({**claims, "aud": "payroll"}, self._key)
        yield "expired", self._signed({**claims, "exp": _seconds(now - timedelta(hours=1))}, self._key)
        yield "not valid yet", self._signed({**claims, "nbf": _seconds(now + timedelta(hours=1))}, self._key)
        yield "without an end", self._signed({k: v for k, v in claims.items() if k != "exp"}, self._key)
        yield "without a subject", self._signed({k: v for k, v in claims.items() if k != "sub"}, self._key)
        yield "no token at all", "not-a-token"

    def _claims(self, subject: str, roles: Sequence[Role]) -> dict[str, Any]:
        now = self._clock()
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": _seconds(now),
            "exp": _seconds(now + _LASTS),
            "roles": list(roles),
        }

    @staticmethod
    def _signed(claims: Claims, key: ec.EllipticCurvePrivateKey) -> str:
        return jwt.encode(dict(claims), key, algorithm=_ALGORITHM, headers={"kid": _NAME})


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _encoded(claims: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(claims)).encode()).rstrip(b"=").decode()

"""Who is asking: from a terminal (the operating system's account) or over the network (token, certificate)."""

from fielded.world.identity.opening import open_authenticator
from fielded.world.identity.operating_system import operating_system_user
from fielded.world.identity.port import Authenticator, Caller, Credentials, Unauthenticated
from fielded.world.identity.several import SeveralAuthenticators

__all__ = [
    "Authenticator",
    "Caller",
    "Credentials",
    "SeveralAuthenticators",
    "Unauthenticated",
    "open_authenticator",
    "operating_system_user",
]

"""Who is asking, as the operating system knows it."""

import os
import pwd


def operating_system_user() -> str:
    """The account that runs this process, from its real user id.

    Environment variables such as `LOGNAME` are not asked: anybody can set those.
    """
    uid = os.getuid()
    try:
        return f"os:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # a container's numeric user
        return f"os:uid-{uid}"

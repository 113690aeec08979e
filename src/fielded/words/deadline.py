"""Wait for something only so long."""

import threading
from collections.abc import Callable
from typing import TypeVar

Given = TypeVar("Given")


def within(seconds: float, do: Callable[[], Given]) -> Given:
    """What `do` gives, in a thread of its own that is left behind when the time is over.

    For calls into a client that has no deadline of its own. What is left behind may still take effect, so it must
    be such that this does no harm; it does not keep the process from ending.

    Raises:
        TimeoutError: it took longer.
        BaseException: whatever `do` raised.
    """
    given: list[Given] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(do())
        except BaseException as error:  # noqa: BLE001 - raised again where it was waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="fielded-within", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not given:
        raise TimeoutError(f"got no answer for {seconds:g} s")
    return given[0]

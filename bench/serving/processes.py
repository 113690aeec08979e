"""A server as a tree of processes: started, seen ready, its CPU time read, and all of it stopped again.

This process becomes the parent of every orphan among its descendants (prctl(2), PR_SET_CHILD_SUBREAPER), so a
server whose main process leaves its workers behind is still counted and still stopped. One server at a time.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
STOP_SECONDS = 15


def adopt_orphans() -> None:
    """Linux only.

    Raises:
        SystemExit: another system.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("serving benchmark: prctl failed, expected Linux")


def loopback_only() -> bool:
    """Put this process, and all it starts, into a network of its own that is nothing but 127.0.0.1 (unshare(2)).

    Some servers listen at every address and call home unless told not to; here neither is possible. To be called
    before any thread is started.

    Returns:
        False where the system does not allow it; then nothing has changed.
    """
    trial = os.fork()  # a system may allow the first step and not the last, and there is no way back
    if not trial:
        try:
            _leave_network()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(trial, 0)[1]:
        return False
    _leave_network()
    return True


def _leave_network() -> None:
    user, group = os.getuid(), os.getgid()
    spaces = CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET
    if ctypes.CDLL(None, use_errno=True).unshare(spaces):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        name = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(asked, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))


def free_ports(count: int) -> list[int]:
    """Ports at 127.0.0.1 that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen]:
    """The command in a folder of its own; its whole tree is stopped at the end.

    Args:
        command: what to start.
        environment: beside this process's own.
        folder: to run in.
        log: gets its output.
    """
    with log.open("wb") as out:
        main = subprocess.Popen(
            list(command), cwd=folder, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield main
    finally:
        _stop(main)


def cpu_seconds() -> float:
    """User and system time of all descendants, and of those of theirs that have ended."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_mib() -> float:
    """Memory that is the descendants' own (USS), MiB."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += process.memory_full_info().uss
    return total / (1 << 20)


def _stop(main: subprocess.Popen) -> None:
    if main.poll() is None:
        main.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            main.wait(STOP_SECONDS)
    for order in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS / 3
        while (left := _left(main)) and time.monotonic() < deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(order)
            time.sleep(0.2)
    main.wait()


def _left(main: subprocess.Popen) -> list[psutil.Process]:
    """Descendants that still run. Orphans that have ended are reaped."""
    main.poll()
    left = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
            elif process.pid != main.pid and process.ppid() == os.getpid():
                os.waitpid(process.pid, os.WNOHANG)
    return left

"""One process at a time: an advisory lock whose owner can be named and whose death frees it."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import IO

from cryjax.errors import StorageError, UserError

BEAT_S = 20  # between signs of life, for hosts that do not see each other's locks
DEAD_S = 120  # without a sign of life after which an owner on another host counts as dead
ASK_S = 0.2  # between questions while waiting


class LockedError(UserError):
    """Another process works in the same folder."""


def _owner(file: IO[str]) -> dict[str, str]:
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_free(file: IO[str], path: pathlib.Path) -> bool:
    """Takes the lock of this host, and looks for signs of life from another one.

    Some shared file systems keep locks to the host that took them, or have none at all.
    """
    with contextlib.suppress(OSError):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    elsewhere = _owner(file).get("host", socket.gethostname()) != socket.gethostname()
    return not elsewhere or abs(time.time() - path.stat().st_mtime) > DEAD_S


def _beat(path: pathlib.Path, done: threading.Event) -> None:
    while not done.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)


@contextlib.contextmanager
def hold(path: pathlib.Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock while the block runs.

    On one host the operating system frees the lock of a process that dies. Between hosts the owner
    touches the file every `BEAT_S` seconds, and counts as dead after `DEAD_S` without.

    Args:
      path: File of the lock, made if needed; it stays, empty, when the lock is given back.
      wait: Whether to wait until the lock is free.

    Raises:
      LockedError: Another process holds it; the message has host, process and start time.
      StorageError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path.parent} cannot be written ({error}); give another folder, or rights to this one"
        ) from error
    with opened as file:
        said = False
        while not _is_free(file, path):
            owner = _owner(file)
            named = (
                f"process {owner.get('process', '?')} on {owner.get('host', '?')}, started "
                f"{owner.get('started', '?')}"
            )
            if not wait:
                raise LockedError(
                    f"{path.parent} is in use by {named}; wait for it, stop it, or give another "
                    f"folder (a dead owner's lock frees itself, from other hosts in {DEAD_S} s)"
                )
            if not said:
                print(f"waiting for {named}, who holds {path}", flush=True)
            said = True
            time.sleep(ASK_S)
        started = time.strftime("%Y-%m-%d %H:%M:%S %z")
        about = {"host": socket.gethostname(), "process": os.getpid(), "started": started}
        file.truncate(0)
        file.write(json.dumps(about))
        file.flush()
        done = threading.Event()
        beating = threading.Thread(target=_beat, args=(path, done), daemon=True)
        beating.start()
        try:
            yield
        finally:
            done.set()
            beating.join()
            file.truncate(0)

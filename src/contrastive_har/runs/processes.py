"""The identity of processes, so that runs whose process has ended are not shown as running."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from pathlib import Path

PROCESS = "contrastive_har.process"
"""Tag of a tracked run: its process."""

_UNKNOWN = "unknown"
_INITIAL = "pid:[4026531836]"  # the namespace of process numbers outside containers, the same on every Linux
_ENDED = "ended"
_ENDED_STATES = ("Z", "X")  # of a process that has ended and that its parent has not asked about


def this_process() -> str:
    """Return a unique name of this process: machine (name, id, boot), namespace, network card, number and start."""
    return " ".join([*_this_place(), _hashed(_card()), str(os.getpid()), _started(os.getpid())])


def is_dead(process: str) -> bool:
    """Return whether a process has ended; False if that cannot be found out.

    It can be found out about processes of this machine, unless they are in another container.

    Args:
        process: A name that :func:`this_process` has returned.
    """
    fields = process.split(" ")
    if len(fields) != 7 or not fields[5].isdecimal():  # not written by this release
        return False
    *place, card, number, started = fields
    host, machine, boot, namespace = _this_place()
    if place[:2] != [host, machine]:
        return False
    if place[2] != boot:
        # The machine was started again, if both boots are known and it is no clone, which has another network card.
        # Containers on several machines may share all of these: their boots tell nothing.
        if {place[3], namespace} != {_INITIAL}:
            return False
        cards = {card, _hashed(_card())} - {_UNKNOWN}
        return _UNKNOWN not in (machine, place[2], boot) and len(cards) < 2
    if place[3] != namespace:
        return False
    now = _started(int(number))
    return now == _ENDED or (now != started and _UNKNOWN not in (now, started))


def describe_process(process: str) -> str:
    """Return a process for messages."""
    fields = process.split(" ")
    return f"process {fields[-2]} of {fields[0]}" if len(fields) == 7 else f"process '{process}'"


def is_here(process: str) -> bool:
    """Return whether this process can see another: it is of the same machine, boot and container.

    Args:
        process: A name that :func:`this_process` has returned.
    """
    return process.split(" ")[:4] == _this_place()


def _this_place() -> list[str]:
    """Return what a process shares with those that it can see."""
    return [
        platform.node(),
        _hashed(_read("/etc/machine-id")),  # secret: it stands in tracked runs
        _read("/proc/sys/kernel/random/boot_id"),
        _namespace(),
    ]


def _card() -> str:
    """Return the address of the network card that is in use."""
    address = uuid.getnode()
    is_random = address >> 40 & 1  # there is no card
    return _UNKNOWN if is_random else f"{address:x}"


def _namespace() -> str:
    """Return the namespace of process numbers, which differs between containers."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


def _hashed(identity: str) -> str:
    if identity == _UNKNOWN:
        return identity
    return hashlib.sha256(f"contrastive_har {identity}".encode()).hexdigest()[:16]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip() or _UNKNOWN
    except OSError:
        return _UNKNOWN


def _started(number: int) -> str:
    """Return when a process was started, in ticks of the kernel; ``ended`` if there is no such process."""
    try:
        # The name of the program, in brackets, may hold spaces; the state and, 19 fields later, the start follow.
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return _UNKNOWN if _exists(number) else _ENDED
    return _ENDED if fields[0] in _ENDED_STATES else fields[19]


def _exists(number: int) -> bool:
    """Return whether there is a process of this number, where /proc is missing or hides it."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

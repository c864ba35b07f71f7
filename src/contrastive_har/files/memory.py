"""How much memory is free: of the machine, or of the container that this process runs in."""

from __future__ import annotations

from pathlib import Path

_LIMITS = Path("/sys/fs/cgroup")  # of a container on Linux (cgroup v2)


def free_memory() -> int:
    """Return the bytes that this process and its workers may still take."""
    from psutil import virtual_memory

    of_machine: int = virtual_memory().available
    limit, used = _LIMITS / "memory.max", _LIMITS / "memory.stat"
    if not (limit.is_file() and used.is_file()) or (most := limit.read_text().strip()) == "max":
        return of_machine
    taken = dict(line.split() for line in used.read_text().splitlines())
    return max(0, min(of_machine, int(most) - int(taken["anon"])))  # without pages of files, which are given back

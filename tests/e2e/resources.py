"""What the processes of a server take of the machine, as Linux counts it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Resources:
    """Of a process and all its descendants.

    Attributes:
        memory_kib: proportional set size: what is shared between them counts once.
        descriptors: open files.
        threads: how many.
        processes: how many.
    """

    memory_kib: int
    descriptors: int
    threads: int
    processes: int


def measure(pid: int) -> Resources:
    """Measure a process that runs, and its descendants."""
    pids = find_family(pid)
    return Resources(
        memory_kib=sum(_read_pss(member) for member in pids),
        descriptors=sum(len(list(Path(f"/proc/{member}/fd").iterdir())) for member in pids),
        threads=sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in pids),
        processes=len(pids),
    )


def find_family(pid: int) -> list[int]:
    """Return the process and its descendants."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            children += map(int, (task / "children").read_text(encoding="ascii").split())
    return [pid, *(member for child in children for member in find_family(child))]


def _read_pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory")

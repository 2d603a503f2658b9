"""Many visitors for minutes: ``python -m benchmarks.load [VISITORS] [MINUTES]``, 20 for 10 by default.

Each opens the page again and again, uploads a case whose size is its own, analyses it and leaves. An
answer other than the visitor's own case, a fault or a "Busy" is counted; the server's memory is read all along.
"""

from __future__ import annotations

import random
import re
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cases import resampled
from benchmarks.machine import describe
from benchmarks.served import served_page
from tests.deploy.page_client import PageClient

EVERY_S = 5.0
"""Interval of the memory readings, s."""


def main(
    visitors: Annotated[int, typer.Argument(help="Visitors at once.")] = 20,
    minutes: Annotated[float, typer.Argument(help="How long.")] = 10.0,
) -> None:
    """Load the page, and print what was answered and how the memory went."""
    typer.echo(describe())
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder, served_page() as server:
        cases = [one_case(number, Path(folder)) for number in range(visitors)]
        warm_up(server.address, cases[0])
        until = time.monotonic() + 60 * minutes
        threads = [
            threading.Thread(target=visit_until, args=(server.address, number, case, until, outcomes))
            for number, case in enumerate(cases)
        ]
        for thread in threads:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in threads):
            memory.append(megabytes(server.pid))
            time.sleep(EVERY_S)
        faults = Counter(
            re.findall(r"^([\w.]+(?:Error|Exception))\b", server.log.read_text(errors="replace"), re.MULTILINE)
        )
    third = max(1, len(memory) // 3)
    early, late = statistics.median(memory[third : 2 * third]), statistics.median(memory[2 * third :])
    typer.echo(f"{visitors} visitors, {minutes:g} minutes: {dict(sorted(outcomes.items()))}")
    typer.echo(
        f"Memory of the server and the processes it started, MB: first {memory[0]:.0f}, middle third {early:.0f}, "
        f"last third {late:.0f}, highest {max(memory):.0f}"
    )
    typer.echo(f"Exceptions in the server's log: {dict(faults)}")
    if faults or set(outcomes) - {"own case", "busy"}:
        raise typer.Exit(1)


def one_case(number: int, folder: Path) -> tuple[tuple[int, int, int], bytes]:
    """A case of a size that no other visitor's has."""
    size = (96 + number, 96 + number, 18 + number % 5)
    own = folder / str(number)
    own.mkdir()
    return size, resampled(size, own)[0].read_bytes()


def warm_up(address: str, case: tuple[tuple[int, int, int], bytes]) -> None:
    client = PageClient(address)
    client.upload("case.nii.gz", case[1])
    client.press(elem_id="fr-analyse")
    client.http.close()


def visit_until(
    address: str, number: int, case: tuple[tuple[int, int, int], bytes], until: float, outcomes: Counter[str]
) -> None:
    draw = random.Random(number)
    while time.monotonic() < until:
        try:
            outcomes[visit(address, case)] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and fails the run
            outcomes[f"{type(error).__name__}: {str(error)[:80]}"] += 1
        time.sleep(draw.uniform(0.0, 4.0))


def visit(address: str, case: tuple[tuple[int, int, int], bytes]) -> str:
    """One visit; what came of it in a word or two."""
    size, content = case
    client = PageClient(address)
    try:
        opened = client.upload("case.nii.gz", content)
        if "Busy" in opened:
            return "busy"
        if not has_size(opened, size):
            return "another's case at opening"
        analysed = client.press(elem_id="fr-analyse")
        if "Busy" in analysed:
            return "busy"
        if "Done." not in analysed:
            return "no result"
        return "own case" if has_size(analysed, size) else "another's case"
    finally:
        client.http.close()


def has_size(sent: str, size: tuple[int, int, int]) -> bool:
    """Whether every volume that the page was sent has this size."""
    found = {tuple(map(int, match)) for match in re.findall(r'"size_xyz": \[(\d+), (\d+), (\d+)\]', sent)}
    return found == {size}


def megabytes(pid: int) -> float:
    """Resident memory of a process and its descendants, MB."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue
        if found := re.search(r"VmRSS:\s+(\d+)", status):
            total += int(found[1]) / 1024
    return total


if __name__ == "__main__":
    typer.run(main)

"""Several scans, one after the other: where results go, and what happens when one fails."""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyxem_mlmaps.cli._config import UsageError, as_yaml, write_beside

__all__ = ["Job", "check_new", "for_each", "plan", "save_figure", "save_signal", "say"]


@dataclass(frozen=True)
class Job:
    """One scan, where its result goes, and its figure."""

    scan: Path
    output: Path
    figure: Path | None

    @property
    def store(self) -> Path:
        """Folder of the finished blocks while the job runs."""
        return self.output.with_name(self.output.name + ".blocks")

    def beside(self, ending: str) -> Path:
        """A further output, named after the first."""
        return self.output.with_name(self.output.stem + ending)


def plan(
    options: argparse.Namespace,
    ending: str,
    suffixes: Sequence[str],
    further: Callable[[Job], Sequence[Path]] = lambda job: (),
) -> list[Job]:
    """What is to be done, checked before anything is.

    Raises
    ------
    UsageError
        If two scans would go to one output, several to one file, an output exists already, or a
        file name ends in something that cannot be written.
    """
    scans = _expanded(options.scans)
    outputs = [_output(options.output, scan, ending, suffixes, len(scans)) for scan in scans]
    jobs = [
        Job(scan, output, _figure(options.figure, output, len(scans)))
        for scan, output in zip(scans, outputs, strict=True)
    ]
    taken: dict[Path, Path] = {}
    inputs = {scan.resolve() for scan in scans}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise UsageError(f"--output {job.output} is a scan that is read; give another name")
        if job.output in taken:
            raise UsageError(
                f"{taken[job.output]} and {job.scan} would both become {job.output}; rename one, "
                "or map them one by one"
            )
        taken[job.output] = job.scan
    if options.skip_existing:
        for job in (job for job in jobs if job.output.exists()):
            say(options, f"{job.scan}: skipped, {job.output} exists")
        jobs = [job for job in jobs if not job.output.exists()]
    for job in jobs:
        figures = [] if job.figure is None else [job.figure]
        check_new(options, job.output, *further(job), *figures)
    return jobs


def _expanded(paths: Sequence[Path]) -> list[Path]:
    """Names with * or ? as all files that they stand for: not every shell does that."""
    expanded: list[Path] = []
    for path in paths:
        if path.exists() or not any(sign in path.name for sign in "*?"):
            expanded.append(path)
            continue
        found = sorted(path.parent.glob(path.name))
        if not found:
            raise UsageError(f"{path}: there is no such file")
        expanded += found
    return expanded


def _output(
    given: Path | None, scan: Path, ending: str, suffixes: Sequence[str], n_scan: int
) -> Path:
    if given is None:
        return scan.with_name(f"{scan.stem}{ending}{suffixes[0]}")
    if given.suffix in suffixes:
        if n_scan > 1:
            raise UsageError(f"--output {given} is one file for {n_scan} scans; give a folder")
        return given
    if given.suffix and not given.is_dir():
        raise UsageError(
            f"--output {given}: {', '.join(suffixes)} can be written, or give a folder, whose name "
            "has no dot"
        )
    return given / f"{scan.stem}{ending}{suffixes[0]}"


def _figure(given: Path | None, output: Path, n_scan: int) -> Path | None:
    if given is None or n_scan == 1:
        return given
    return given.with_name(f"{output.stem}_{given.name}")


def check_new(options: argparse.Namespace, *paths: Path) -> None:
    """Refuse to replace what exists.

    Raises
    ------
    UsageError
        Naming it, unless ``--overwrite`` was given.
    """
    there = [str(path) for path in paths if path.exists()]
    if there and not options.overwrite:
        raise UsageError(f"{', '.join(there)} exists; --overwrite replaces it")


def for_each(
    jobs: Sequence[Job],
    options: argparse.Namespace,
    command: str,
    work: Callable[[Job], Any],
) -> None:
    """Do every job, also after one that fails; keep the configuration beside each output.

    Raises
    ------
    RuntimeError
        At the end, naming those that failed. The only one's own error is raised as it is.
    """
    failed: list[Path] = []
    for number, job in enumerate(jobs, start=1):
        if len(jobs) > 1:
            say(options, f"{number} of {len(jobs)}: {job.scan}")
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            work(job)
            write_beside(job.output, configuration(job, options, command))
        except Exception as error:
            if len(jobs) == 1:
                raise
            failed.append(job.scan)
            if options.debug:
                traceback.print_exc()
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pyxem-mlmaps {command}: error: {job.scan}: {reason}", file=sys.stderr)
    if failed:
        names = ", ".join(str(scan) for scan in failed)
        raise RuntimeError(f"{len(failed)} of {len(jobs)} scans failed: {names}")


def configuration(job: Job, options: argparse.Namespace, command: str) -> str:
    """The options of this scan alone, as YAML."""
    alone = vars(options) | {"scans": [job.scan], "output": job.output, "figure": job.figure}
    return as_yaml(command, argparse.Namespace(**alone))


def save_signal(signal: Any, path: Path) -> None:
    """Write under a passing name first: what has the right name is whole."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    remove(partial)
    signal.save(partial, overwrite=True)
    remove(path)
    partial.rename(path)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_figure(path: Path | None, draw: Callable[[], Any]) -> None:
    """Draw into a file, without a window."""
    if path is None:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = draw()
    figure.savefig(path, bbox_inches="tight", dpi=200)
    plt.close(figure)


def say(options: argparse.Namespace, text: str) -> None:
    """A line on stdout, unless ``--quiet``."""
    if not options.quiet:
        print(text, flush=True)

"""Parse, run one command, and say how it went."""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyxem_mlmaps._version import __version__
from pyxem_mlmaps.cli import _bench, _demo, _grains, _map, _simulate, _strain, _train
from pyxem_mlmaps.cli._command import Command, add_job
from pyxem_mlmaps.cli._config import UsageError, as_yaml, read_config

__all__ = ["main"]

COMMANDS: tuple[Command, ...] = (
    _simulate.COMMAND,
    _train.COMMAND,
    _map.COMMAND,
    _strain.COMMAND,
    _grains.COMMAND,
    _demo.COMMAND,
    _bench.COMMAND,
)
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = (
    "exit codes: 0 done; 1 the job failed, the reason is on stderr; 2 wrong options; 130 stopped "
    "by Ctrl-C"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pyxem-mlmaps``.

    Parameters
    ----------
    arguments
        As on the command line, without the program; None takes ``sys.argv``.

    Returns
    -------
    code
        0 if all went well, 1 if the job failed, 2 if the options are wrong, 130 after Ctrl-C.

    Examples
    --------
    >>> from pyxem_mlmaps.cli import main
    >>> main(["map", "scan.zspy", "--model", "gasb_110.keras"])  # doctest: +SKIP
    0
    """
    parser, parsers = _build_parser()
    try:
        options = parser.parse_args(arguments)
        command = next(command for command in COMMANDS if command.name == options.command)
        own = parsers[command.name]
        try:
            if options.config is not None:
                own.set_defaults(**read_config(options.config, command.name, own._actions))
                options = parser.parse_args(arguments)
            del options.command
            if options.write_config is not None:
                return _write_config(command, options)
            _check_needs(command, options, own)
            return _run(command, options)
        except UsageError as error:
            own.error(_one_line(error))
    except SystemExit as stop:
        return _code_of(stop)
    return DONE


def _run(command: Command, options: argparse.Namespace) -> int:
    try:
        with _warnings_as_lines(command.name):
            command.run(options)
        return DONE
    except KeyboardInterrupt:
        _complain(command.name, f"stopped. {command.resume}")
        return INTERRUPTED
    except UsageError:
        raise
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        _complain(command.name, f"error: {_described(error)}")
        return FAILED


def _check_needs(
    command: Command, options: argparse.Namespace, parser: argparse.ArgumentParser
) -> None:
    flags = {a.dest: (a.option_strings or [str(a.metavar)])[-1] for a in parser._actions}
    missing = [flags[n] for n in command.needs if getattr(options, n) in (None, [])]
    if missing:
        raise UsageError(f"{', '.join(missing)} must be given, here or in a --config file")


def _write_config(command: Command, options: argparse.Namespace) -> int:
    text = as_yaml(command.name, options)
    if str(options.write_config) == "-":
        print(text, end="")
        return DONE
    if options.write_config.exists() and not getattr(options, "overwrite", False):
        raise UsageError(f"--write-config {options.write_config} exists; give another name")
    options.write_config.write_text(text, encoding="utf-8")
    return DONE


# ---- parser -------------------------------------------------------------------------------------


class _Help(argparse.RawDescriptionHelpFormatter):
    """Paragraphs as written, and defaults where there are any to tell."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"{text} (default: {action.option_strings[0 if default else 1]})"
        nothing = default is None or default is False or default in ([], argparse.SUPPRESS)
        if nothing or "default" in text.lower():
            return text
        if isinstance(default, (list, tuple)):
            separator = " " if isinstance(default, list) else ","
            default = separator.join(f"{part:g}" for part in default)
        return f"{text} (default: {default})"


def _build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="pyxem-mlmaps",
        description="Crystal orientation and strain maps from 4D-STEM, by networks trained on "
        "dynamical simulations.",
        epilog="pyxem-mlmaps COMMAND --help tells what a command reads and writes.\n" + EXIT_CODES,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"pyxem_mlmaps {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parsers = {}
    for command in COMMANDS:
        own = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=f"example:\n  {command.example}\n\n{EXIT_CODES}",
            formatter_class=_Help,
            allow_abbrev=False,
        )
        command.add_options(own)
        add_job(own)
        parsers[command.name] = own
    return parser, parsers


# ---- messages -----------------------------------------------------------------------------------


@contextmanager
def _warnings_as_lines(command: str) -> Iterator[None]:
    """Warnings as one line each on stderr; those for programmers are left out."""
    seen: set[str] = set()

    def show(message: Any, category: type[Warning], *rest: Any) -> None:
        text = _one_line(message)
        if "Deprecat" in category.__name__ or category is FutureWarning or text in seen:
            return
        seen.add(text)
        _complain(command, f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def _described(error: Exception) -> str:
    """The message, with the kind of error where the message alone would not tell."""
    if isinstance(error, KeyError) or not str(error):
        return f"{type(error).__name__}: {_one_line(error)}"
    return _one_line(error)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _complain(command: str, text: str) -> None:
    print(f"pyxem-mlmaps {command}: {text}", file=sys.stderr, flush=True)


def _code_of(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or DONE
    print(stop.code, file=sys.stderr)
    return FAILED

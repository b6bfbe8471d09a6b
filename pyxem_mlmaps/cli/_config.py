"""Configuration files: the options of a command in YAML, read, checked and written.

A key is the name of a flag, with _ or - between its words. Values pass through the flag's own
checks. Paths are taken from the folder that the file lies in.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyxem_mlmaps._version import __version__

__all__ = ["UsageError", "as_yaml", "read_config", "write_beside"]

NOT_KEPT = ("config", "write_config", "debug", "quiet", "overwrite", "skip_existing", "help")
"""Options that change no answer."""
NOT_IN_FILES = ("config", "write_config", "help")


class UsageError(Exception):
    """What was asked for cannot be done as it was asked: exit code 2."""


def read_config(file: Path, command: str, actions: Iterable[argparse.Action]) -> dict[str, Any]:
    """The options in a YAML file, converted and checked as flags are.

    Raises
    ------
    UsageError
        If the file cannot be read, is for another command, has keys that are no option (naming
        them and the nearest known ones), or a value that the flag would refuse.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file} is not YAML: {error}") from error
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise UsageError(f"--config {file}: lines of the form 'option: value' are needed")
    values = {str(key).replace("-", "_"): value for key, value in content.items()}
    for_command = values.pop("command", command)
    if for_command != command:
        raise UsageError(f"--config {file} is for the command {for_command!r}, not {command!r}")
    known = {action.dest: action for action in actions if action.dest not in NOT_IN_FILES}
    _refuse_unknown(file, values, known)
    return {key: _converted(file, known[key], value) for key, value in values.items()}


def _refuse_unknown(file: Path, values: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    complaints = []
    for key in values:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        complaints.append(f"{key!r} (the nearest known is {near[0]!r})")
    if complaints:
        raise UsageError(f"--config {file}: unknown {', '.join(complaints)}")


def _converted(file: Path, action: argparse.Action, value: Any) -> Any:
    """The value as the flag of the same name would have it."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise UsageError(f"--config {file}: {action.dest}: {value!r} is not true or false")
        return value
    if value is None and action.default is None:
        return None
    try:
        if action.nargs is None:
            return _one(file, action, value)
        parts = value if isinstance(value, list) else [value]
        if isinstance(action.nargs, int) and len(parts) != action.nargs:
            raise argparse.ArgumentTypeError(f"{len(parts)} values, {action.nargs} are needed")
        return [_one(file, action, part) for part in parts]
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise UsageError(f"--config {file}: {action.dest}: {error}") from error


def _one(file: Path, action: argparse.Action, value: Any) -> Any:
    convert = action.type or str
    result = convert(_as_text(value))
    if action.choices is not None and result not in action.choices:
        allowed = ", ".join(str(choice) for choice in action.choices)
        raise argparse.ArgumentTypeError(f"{value!r} is not one of {allowed}")
    return _anchored(file.parent, result)


def _anchored(folder: Path, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_anchored(folder, part) for part in value)
    return folder / value if isinstance(value, Path) else value


def _as_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    return str(value)


def as_yaml(command: str, options: argparse.Namespace) -> str:
    """The options as a file for ``--config``, with absolute paths: it repeats the job."""
    import yaml

    kept = {
        key: _plain(value)
        for key, value in vars(options).items()
        if key not in NOT_KEPT and not key.startswith("_")
    }
    text = yaml.safe_dump(
        {"command": command} | kept, sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    head = f"# pyxem_mlmaps {__version__}: repeat with pyxem-mlmaps {command} --config THIS_FILE"
    return f"{head}\n{text}"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def write_beside(output: Path, text: str) -> None:
    """Keep the configuration of a finished job beside its output."""
    output.with_name(output.name + ".yaml").write_text(text, encoding="utf-8")

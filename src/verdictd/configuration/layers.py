"""Layers of settings: a TOML file, the environment, flags. What a later layer gives replaces what an earlier one gave.

What is wrong with a value is said with the file and key, the variable, or the flag at which it stands. Nothing is
ignored: an unknown key is an error.
"""

import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from verdictd.configuration.values import Reader, suggest
from verdictd.core.errors import ConfigError, LimitExceededError, VerdictdError

MAX_CONFIG_FILE_BYTES = 1024 * 1024

Layer: TypeAlias = Mapping[str, object]
"""Values that were read, by their keys."""
PlainValue: TypeAlias = bool | int | float | str | list[str]


@dataclass(frozen=True, slots=True)
class SettingsForm:
    """What settings of a program there are.

    Attributes:
        fields: how the value of each key is read.
        tables: the tables that a file may have.
    """

    fields: Mapping[str, Reader]
    tables: Collection[str]

    def read_layer(self, raw: Mapping[str, object], *, name: Callable[[str], str], base: Path) -> dict[str, object]:
        """Read raw values by their keys.

        Args:
            raw: values as TOML or argparse give them.
            name: what to call a key in an error.
            base: what relative paths are relative to.
        Raises:
            ConfigError: an unknown key, or a value that cannot be; the message begins with the key's name.
        """
        layer = {}
        for key, value in raw.items():
            if key not in self.fields:
                raise ConfigError(f"{name(key)}: unknown setting{suggest(key, list(self.fields))}")
            try:
                layer[key] = self.fields[key](value, base)
            except VerdictdError as error:
                raise ConfigError(f"{name(key)}: {error.message}", remedy=error.remedy) from error
        return layer

    def load_file(self, path: Path) -> dict[str, object]:
        """Load a configuration file. Relative paths in it are relative to its directory.

        Raises:
            ConfigError: it cannot be read, is not TOML, or holds what it must not; says where.
            LimitExceededError: longer than `MAX_CONFIG_FILE_BYTES`.
        """
        return self.parse_file(_load(path), name=str(path), base=path.parent)

    def parse_file(self, data: bytes, *, name: str, base: Path) -> dict[str, object]:
        """Read the bytes of a configuration file; see `load_file`.

        Args:
            data: TOML.
            name: what to call the file in an error.
            base: what relative paths are relative to.
        """
        raw = _parse_document(data, self.tables, name=name)
        return self.read_layer(raw, name=lambda key: f"{name}: {key}", base=base)


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_CONFIG_FILE_BYTES:
        raise LimitExceededError(f"the configuration file {path} is longer than {MAX_CONFIG_FILE_BYTES} bytes")
    return data


def _parse_document(data: bytes, tables: Collection[str], *, name: str) -> dict[str, object]:
    """Read TOML into raw values by their keys, ``table.name`` for what stands in a table."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not TOML: {error}") from error
    raw: dict[str, object] = {}
    for key, value in document.items():
        if key not in tables:
            raw[key] = value
        elif isinstance(value, dict):
            raw.update({f"{key}.{inner}": item for inner, item in value.items()})
        else:
            raise ConfigError(f"{name}: {key}: expected the table [{key}]")
    dotted = [key for key in document if "." in key]
    if dotted:
        raise ConfigError(f"{name}: {dotted[0]}: unknown setting", remedy="write [table] and then the key")
    return raw


def encode_values(values: Mapping[str, PlainValue]) -> str:
    """Write values by their keys as TOML. Those of a table have to stand together, behind those of none."""
    lines: list[str] = []
    current = ""
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        if table != current:
            lines += ["", f"[{table}]"]
            current = table
        lines.append(f"{name} = {_encode_value(value)}")
    return "\n".join(lines) + "\n"


def _encode_value(value: PlainValue) -> str:
    # JSON's texts are TOML's, but for characters beyond the BMP (which it would escape in pairs) and for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

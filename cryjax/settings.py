"""Nested dictionaries to frozen dataclasses and back: the only place that knows both.

`configs/*.py` return ml_collections dictionaries, because overrides on the command line need them.
Below `main` every setting is a field of a frozen dataclass, whose default is the only one there is.
"""

import dataclasses
import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

import cattrs

from cryjax.errors import UserError

T = TypeVar("T")
FREE = "free"  # metadata of fields that do not decide what a run computes


def free(default: Any) -> Any:
    """Declares a field that may change when a run is resumed: a path, an interval, a read-ahead."""
    if isinstance(default, list | dict | set) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: default, metadata={FREE: True})
    return dataclasses.field(default=default, metadata={FREE: True})


def from_dict(settings: Any, values: dict[str, Any], path: str = "config") -> Any:
    """Builds a settings dataclass from nested plain values.

    Args:
      settings: Frozen dataclass whose fields may be dataclasses themselves, or a union of
        dataclasses that the key "name" tells apart.
      values: Nested dictionaries, such as `ConfigDict.to_dict()` gives; a text with commas stands
        for a tuple of texts.
      path: Name of `values` in error messages.

    What is left out has the defaults of `settings`, also within a part of which something is given:
    they may be other than those of the part's own class.

    Returns:
      An instance of `settings`.

    Raises:
      UserError: A key is unknown (the nearest field is named) or a value has the wrong type.
    """
    try:
        return _converter.structure(merged(_defaults(settings), values), settings)
    except Exception as error:  # cattrs raises groups: their leaves are what the user can act on
        raise UserError("; ".join(_leaves(error, path)) or f"{path}: {error}") from error


def _defaults(settings: Any) -> dict[str, Any]:
    """Returns the plain values of a class without required fields, else none."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(settings)
    required = [f for f in fields if f.init and f.default is f.default_factory is missing]
    return {} if required else to_dict(settings())


def _leaves(error: BaseException, path: str) -> Iterator[str]:
    """Yields what went wrong, field by field, each with its full name."""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        fields = [field.name for field in dataclasses.fields(error.cl)]
        for key in sorted(error.extra_fields):
            near = difflib.get_close_matches(key, fields, 1) or fields
            yield f"{path} has no setting {key!r}; nearest: {', '.join(near)}"
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            notes = getattr(inner, "__notes__", [])
            name = next((note.name for note in notes if hasattr(note, "name")), "")
            yield from _leaves(inner, f"{path}.{name}" if name else path)
    else:
        yield f"{path}: {error}"


def to_dict(settings: Any) -> dict[str, Any]:
    """Turns settings into nested plain values that JSON can hold; the inverse of `from_dict`."""
    return _converter.unstructure(settings)


def to_config(settings: Any) -> Any:
    """Makes the ConfigDict that a config file starts from: every field can be overridden.

    Tuples of texts become one text with commas, as they are written on the command line, and a
    field that may be None takes any value there, None included.
    """
    from ml_collections import ConfigDict, FieldReference

    config = ConfigDict()
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if dataclasses.is_dataclass(value):
            value = to_config(value)
        elif isinstance(value, tuple) and str in get_args(_without_none(hint)):
            value = ",".join(value)
        config[field.name] = FieldReference(value, object) if _optional(hint) else value
    return config


def changed(settings: T, changes: dict[str, Any], path: str = "config") -> T:
    """Replaces some nested fields in a copy; a part whose "name" changes starts from defaults."""
    return from_dict(type(settings), merged(to_dict(settings), changes), path)


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lays nested dictionaries over each other; see `changed`."""
    if "name" in changes and changes["name"] != old.get("name"):
        return changes
    new = dict(old)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        new[key] = merged(old[key], value) if both else value
    return new


def identity(settings: Any) -> dict[str, Any]:
    """Returns the nested plain values of all fields that decide what is computed; see `free`."""
    values = {}
    for field in dataclasses.fields(settings):
        if not field.metadata.get(FREE):
            value = getattr(settings, field.name)
            deeper = dataclasses.is_dataclass(value)
            values[field.name] = identity(value) if deeper else _converter.unstructure(value)
    return values


def unlike_defaults(settings: Any, default: Any = None) -> dict[str, Any]:
    """Returns the part of `identity` that differs from the defaults, with the kind of each part.

    A setting that a later version adds is not in it until it is given, so what is named after it
    keeps its name.

    Args:
      settings: Settings that can be made without arguments.
      default: What they are compared with; of another kind or None: what their kind starts from.
    """
    default = default if type(default) is type(settings) else type(settings)()
    values = {}
    for field in dataclasses.fields(settings):
        value, usual = getattr(settings, field.name), getattr(default, field.name)
        if field.metadata.get(FREE) or value == usual:
            continue
        if not dataclasses.is_dataclass(value):
            values[field.name] = _converter.unstructure(value)
        elif (deeper := unlike_defaults(value, usual)) or type(value) is not type(usual):
            values[field.name] = [type(value).__name__, deeper]
    return values


def differences(old: Any, new: Any, path: str = "config") -> list[str]:
    """Lists where two nested plain values differ, with full names and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for k in keys for d in differences(old.get(k), new.get(k), f"{path}.{k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) > 0:
        pairs = enumerate(zip(old, new, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}[{i}]")]
    return [] if old == new else [f"{path}: {old!r} there, {new!r} here"]


def keyword_settings(function: Callable, name: str, *, without: tuple[str, ...] = ()) -> type:
    """Makes a frozen dataclass of a function's keyword-only arguments that have a default.

    So a default is written once, in the signature, and a config shows it.

    Args:
      function: A function or a class.
      name: Name of the dataclass.
      without: Arguments that are no settings.
    """
    about = function.__doc__
    function = function.__init__ if isinstance(function, type) else function
    parameters = inspect.signature(function).parameters.values()
    hints = typing.get_type_hints(function)
    fields = [
        (p.name, hints[p.name], dataclasses.field(default=p.default))
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.name not in without
    ]
    made = dataclasses.make_dataclass(name, fields, frozen=True)
    made.__doc__ = about
    return made


def choose(name: str, table: Mapping[str, T], path: str) -> T:
    """Looks a name up in a table; an unknown one is refused with the nearest."""
    if name not in table:
        near = difflib.get_close_matches(name, table, 3) or list(table)
        raise UserError(
            f"{path} must be one of {', '.join(table)}, got {name!r}; nearest: {', '.join(near)}"
        )
    return table[name]


def _optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if _optional(hint) and len(kinds) == 1 else hint


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_union_by_name(kind: Any) -> bool:
    parts = get_args(kind) if get_origin(kind) in (typing.Union, types.UnionType) else ()
    return len(parts) > 1 and all(dataclasses.is_dataclass(part) for part in parts)


def _to_tuple(value: Any, kind: Any) -> tuple:
    """Builds a tuple of the field's element type from a sequence or a text with commas."""
    element, *others = get_args(kind)
    items = [value] if isinstance(value, str) else value
    if element is str:
        items = [p.strip() for item in items for p in str(item).split(",") if p.strip()]
    made = tuple(_converter.structure(item, element) for item in items)
    if others and others[0] is not Ellipsis and len(made) != len(others) + 1:
        raise ValueError(f"expected {len(others) + 1} values, got {value!r}")
    return made


def _by_name(value: Any, kind: Any) -> Any:
    """Builds the member of a union of dataclasses whose default name is the value's."""
    members = {member.name: member for member in get_args(kind)}
    member = choose(value.get("name", ""), members, "name")
    known = {field.name for field in dataclasses.fields(member)}
    if others := sorted(value.keys() - known):
        whose = [
            name
            for name, other in members.items()
            if set(others) <= {field.name for field in dataclasses.fields(other)}
        ]
        hint = f" (they are settings of {', '.join(whose)})" if whose else ""
        raise ValueError(
            f"{member.name} has no setting {', '.join(others)}{hint}; start from "
            f"configs/{member.name}.py, or name its own: {', '.join(sorted(known))}"
        )
    return _converter.structure(value, member)


def _number(value: Any, kind: Any) -> Any:
    """Reads a whole or a real number, never rounded."""
    try:
        if isinstance(value, bool):
            raise ValueError
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected {kind.__name__}, got {value!r}") from None


def _truth(value: Any, _: Any) -> bool:
    truths = {True: True, False: False, "true": True, "false": False}
    if isinstance(value, str | bool) and (key := str(value).lower()) in ("true", "false"):
        return truths[key]
    raise ValueError(f"expected true or false, got {value!r}")


def _text(value: Any, _: Any) -> str:
    if value is None or isinstance(value, dict | list | tuple):
        raise ValueError(f"expected a text, got {value!r}")
    return str(value)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook_func(_is_tuple, _to_tuple)
    converter.register_structure_hook_func(_is_union_by_name, _by_name)
    for kind in (int, float):
        converter.register_structure_hook(kind, functools.partial(_number))
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(str, _text)
    converter.register_unstructure_hook_func(_is_tuple, list)
    return converter


_converter = _make_converter()

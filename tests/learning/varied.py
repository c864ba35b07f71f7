"""Settings with one value changed, for any pydantic model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

Path = tuple[str | int, ...]


def variants(
    kind: Any, settings: BaseModel, is_usable: Callable[[Any], bool] = lambda _: True
) -> Iterator[tuple[str, BaseModel]]:
    """Return settings in which one number, boolean or choice is another one, by name: ``Owner.field``.

    Nested settings are varied too, and of several numbers the first. A field without another valid value is left out.

    Args:
        kind: What the changed settings are validated as, such as a union.
        settings: Settings to vary.
        is_usable: Whether valid settings can be used.
    """
    adapter: TypeAdapter[BaseModel] = TypeAdapter(kind)
    plain = settings.model_dump()
    for owner, path, annotation, value in _leaves(settings, ()):
        for candidate in _others(annotation, value):
            try:
                changed = adapter.validate_python(_replaced(plain, path, candidate))
            except ValidationError:
                continue
            if changed != settings and is_usable(changed):
                yield owner, changed
                break


def _leaves(value: Any, path: Path) -> Iterator[tuple[str, Path, Any, Any]]:
    """Return each field's name, path, annotation and value."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _leaves(one, (*path, key))
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from _leaves(one, (*path, index))
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            of_field = getattr(value, name)
            if isinstance(of_field, BaseModel | Mapping) or (isinstance(of_field, tuple) and not _is_number(of_field)):
                yield from _leaves(of_field, (*path, name))
            elif _is_number(of_field):
                yield f"{type(value).__name__}.{name}", (*path, name, 0), None, of_field[0]
            elif name != "name":
                yield f"{type(value).__name__}.{name}", (*path, name), field.annotation, of_field


def _is_number(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], int | float)


def _others(annotation: Any, value: Any) -> list[Any]:
    """Return other values to try, by the type of the present one; of null and of text, by the annotation."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value + 1, value - 1, value + 2, value // 2, 1, *_choices(annotation)]
    if isinstance(value, float):
        return [2 * value, value / 2, value + 0.5, 0.5]
    numbers = {int: [1, 2], float: [0.5, 2.0], bool: [True, False]}
    return [
        *_choices(annotation),
        *(one for kind, some in numbers.items() if kind in _parts(annotation) for one in some),
    ]


def _parts(annotation: Any) -> set[Any]:
    """Return the types of which an annotation is made."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal or not parts:
        return {annotation}
    if get_origin(annotation) is Annotated:
        return _parts(parts[0])
    return set().union(*(_parts(part) for part in parts))


def _choices(annotation: Any) -> list[Any]:
    return [one for part in _parts(annotation) if get_origin(part) is Literal for one in get_args(part)]


def _replaced(plain: Any, path: Path, value: Any) -> Any:
    """Return plain data with another value at ``path``."""
    if not path:
        return value
    first, *rest = path
    if isinstance(plain, Mapping):
        return {**plain, first: _replaced(plain[first], tuple(rest), value)}
    return [_replaced(one, tuple(rest), value) if index == first else one for index, one in enumerate(plain)]

"""Pickled data files, read without running anything in them.

Numpy trusts the state of its own objects: a forged type of an array gives pointers into any memory. So nothing here
lets a pickle make objects of numpy. Records take their place while it is read; arrays are made from those afterwards,
and only of plain numbers, or of lists.
"""

from __future__ import annotations

import math
import pickle
import re
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_PLAIN = re.compile(r"[fiu][1248]|b1")  # types of numbers and truth values
_OBJECTS = ("O", "O8")
_MOST_AXES = 64  # that an array of numpy has
_LARGEST = 2**63  # of sizes and keys: beyond it, multiplying and hashing numbers of any length can take for ever
_ORDERS = ("<", ">", "|", "=")


class Placeholder:
    """Stands in for another class: stores its arguments and its state, and does not use them."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Array(Placeholder):
    """Stands in for an array."""

    def build(self) -> NDArray[Any]:
        """Return the array; one of objects holds what was in its list.

        Raises:
            pickle.UnpicklingError: if the state is none of an array of numbers or of a list.
        """
        _, shape, kind, is_fortran, content = self.state
        are_sizes = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < _LARGEST for size in shape)
        if not are_sizes or len(shape) > _MOST_AXES:
            raise pickle.UnpicklingError("refused an array with an invalid shape")
        count = math.prod(shape)
        name, order = kind.describe() if isinstance(kind, _Type) else ("", "")
        if name in _OBJECTS and type(content) is list and len(content) == count:
            array = np.empty(count, object)
            array[:] = content
        elif _PLAIN.fullmatch(name) and type(content) is bytes and len(content) == count * int(name[1]):
            array = np.frombuffer(content, np.dtype(f"{order}{name}")).copy()
        else:
            raise pickle.UnpicklingError(f"refused an array of type '{name[:20]}' and shape {str(shape)[:50]}")
        return array.reshape(shape, order="F" if is_fortran else "C")


class _Type(Placeholder):
    """Stands in for the type of an array's elements."""

    def describe(self) -> tuple[str, str]:
        """Return name and byte order; an empty name if it is not the plain type of one number or object."""
        state = self.state if isinstance(self.state, tuple) else (3, "=")
        name, order = self.arguments[0], state[1]
        is_plain = isinstance(name, str) and order in _ORDERS and all(part in (None, -1, 0, 63) for part in state[2:])
        return (str(name), str(order)) if is_plain else ("", "")


def _reconstruct(*arguments: object) -> _Array:
    return _Array(*arguments)


def _encode(text: str, encoding: str) -> bytes:
    """Return the bytes that older pickles write as a text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused to encode as '{encoding[:20]}'")
    return text.encode(encoding)


_STANDING_IN = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "slice"): slice,
    ("builtins", "slice"): slice,
}

_REFUSED = (
    *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
    *(pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
)


class InertUnpickler(pickle._Unpickler):
    """Reads arrays and plain containers; turns the given classes into placeholders and refuses all others.

    This is the unpickler in Python. That in C reserves memory for as many objects as a pickle says it will refer to.

    Args:
        file: The pickle, opened as bytes.
        placeholders: Module and name of each class to turn into a placeholder.
    """

    def __init__(self, file: Any, placeholders: frozenset[tuple[str, str]] = frozenset()) -> None:
        super().__init__(file)
        self._file = file
        self._placeholders = placeholders

    def load(self) -> Any:
        """Read the pickle.

        Raises:
            pickle.UnpicklingError: for anything but numbers, texts, containers and arrays of them.
        """
        content = super().load()
        # At the end of a compressed file its checksum is compared.
        if self._file.read(1):
            raise pickle.UnpicklingError("refused what follows the end of the pickle")
        return _with_arrays(content, {})

    def load_dict(self) -> None:
        """Make a dictionary, as older pickles write it."""
        self._require_simple(self.stack[::2])  # type: ignore[attr-defined]
        super().load_dict()  # type: ignore[misc] # its types are those of the unpickler in C

    def load_setitem(self) -> None:
        """Set one value of a dictionary."""
        self._require_simple(self.stack[-2:-1])  # type: ignore[attr-defined]
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        """Set several values of a dictionary."""
        self._require_simple(self.stack[::2])  # type: ignore[attr-defined]
        super().load_setitems()  # type: ignore[misc]

    def refuse(self) -> None:
        """Refuse what no array needs: a set, and a buffer, for which any number of bytes is reserved.

        Raises:
            pickle.UnpicklingError: always.
        """
        raise pickle.UnpicklingError("refused a set or a buffer")

    @staticmethod
    def _require_simple(keys: list[object]) -> None:
        """Refuse keys that take long to hash, or many to find.

        Hashing a tuple takes twice as long for each level at which it holds another twice; whole numbers of any length
        can all have the same hash.
        """
        for key in keys:
            if not isinstance(key, str | bytes | int | float | None):
                raise pickle.UnpicklingError("refused a key that is no number or text")
            if isinstance(key, int) and abs(key) >= _LARGEST:
                raise pickle.UnpicklingError("refused a key that is a number of more than 63 bits")

    def load_build(self) -> None:
        """Give a record its state.

        Raises:
            pickle.UnpicklingError: for anything else: a function would keep what is set on it.
        """
        if not isinstance(self.stack[-2], Placeholder):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("refused to set the state of what is no record")
        super().load_build()  # type: ignore[misc] # its types are those of the unpickler in C

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        **dict.fromkeys((code[0] for code in _REFUSED), refuse),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands in for a class or function that a pickle may use.

        Raises:
            pickle.UnpicklingError: for anything not on the list.
        """
        if (module, name) in _STANDING_IN:
            return _STANDING_IN[module, name]
        if (module, name) in self._placeholders:
            return Placeholder
        raise pickle.UnpicklingError(f"refused to load {module}.{name}")


def _with_arrays(value: Any, known: dict[int, Any]) -> Any:
    """Return a value with arrays in place of the records that stand in for them, at any depth.

    Args:
        value: The value.
        known: What has been returned for containers, by their id.
    """
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, _Array):
        content = value.state[-1] if isinstance(value.state, tuple) and len(value.state) == 5 else None
        if content is None:
            raise pickle.UnpicklingError("refused an array without a state")
        value.state = (*value.state[:-1], _with_arrays(content, known))
        known[id(value)] = value.build()
    elif type(value) is list:
        known[id(value)] = inside = []
        inside += [_with_arrays(part, known) for part in value]
    elif type(value) is dict:
        known[id(value)] = {key: _with_arrays(part, known) for key, part in value.items()}
    elif type(value) is tuple:
        known[id(value)] = tuple(_with_arrays(part, known) for part in value)
    elif isinstance(value, Placeholder):
        known[id(value)] = value
        value.state = _with_arrays(value.state, known)
    else:
        return value
    return known[id(value)]

"""Forged pickles: a pickle cannot make objects of numpy, whose state numpy trusts."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import random
from typing import Any

import numpy as np
import pytest

from contrastive_har.sources import unpickling
from contrastive_har.sources.unpickling import InertUnpickler

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(4, dtype=">i2"),
    np.array([True, False]),
    np.array(5.0),
    np.array([{"a": np.arange(3)}, [1, "b"], None], object),
    np.array({"a": np.arange(3)}, object),
]


def load(content: bytes) -> Any:
    return InertUnpickler(io.BytesIO(content)).load()


class State:
    """Pickled as an array with any state."""

    def __init__(self, state: object) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        function, arguments, _ = np.arange(1).__reduce__()
        return function, arguments, self.state


class Type:
    """Pickled as a type with any state."""

    def __init__(self, name: object, state: object) -> None:
        self.reduced = (np.dtype, (name, False, True), state)

    def __reduce__(self) -> Any:
        return self.reduced


def test_an_empty_array_is_read() -> None:
    assert load(pickle.dumps(np.zeros((0, 3), np.float32), 4)).shape == (0, 3)


NUMBERS = (3, "<", None, None, None, -1, -1, 0)


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_plain_arrays_are_read_as_they_were(array: np.ndarray, protocol: int) -> None:
    found = load(pickle.dumps({"twice": [array, array]}, protocol))["twice"]
    assert found[0] is found[1]
    assert (found[0].dtype, found[0].shape) == (array.dtype, array.shape)
    assert repr(found[0]) == repr(array)


@pytest.mark.parametrize(
    "state",
    [
        (1, (1,), Type("f8", (3, "<", None, None, None, -1, -1, 63)), False, b"1234567"),
        (1, (2,), Type("f8", NUMBERS), False, b"12345678"),
        (1, (-1,), Type("f8", NUMBERS), False, b""),
        (1, (1,), Type("O8", (3, "|", None, None, None, -1, -1, 0)), False, b"12345678"),
        (1, (1,), Type("O8", (3, "|", None, None, None, -1, -1, 0)), False, [1, 2]),
        (1, (1,), Type("f8", (3, "<", None, ("a",), {"a": (Type("O8", NUMBERS), 0)}, 8, 1, 0)), False, b"12345678"),
        (1, (1,), Type("f8", (3, "<", (Type("O8", NUMBERS), (1,)), None, None, -1, -1, 0)), False, b"12345678"),
        (1, (1,), Type("V8", NUMBERS), False, b"12345678"),
        (1, (1,), Type("M8[ns]", NUMBERS), False, b"12345678"),
        (1, (1,), Type(5, NUMBERS), False, b"12345678"),
        (1, (1,), "f8", False, b"12345678"),
        (1, (True,), Type("f8", NUMBERS), False, b"12345678"),
        (1, "a", Type("f8", NUMBERS), False, b"12345678"),
        (1, (1,)),
        (None,) * 5,
        7,
    ],
)
def test_forged_arrays_are_refused(state: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        load(pickle.dumps(State(state), 2))


def test_a_forged_array_of_objects_makes_no_pointers() -> None:
    """``dtype('O8')`` with the flags of a number: numpy would take these bytes for addresses."""
    forged = (1, (1,), Type("O8", (3, "|", None, None, None, -1, -1, 0)), False, b"\x01\x02\x03\x04\x05\x06\x07\x08")
    with pytest.raises(pickle.UnpicklingError, match="type 'O8'"):
        load(pickle.dumps(State(forged), 2))
    with pytest.raises(pickle.UnpicklingError, match="without a state"):
        load(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR.")
    with pytest.raises(pickle.UnpicklingError, match="refused to encode as 'rot13'"):
        load(b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.")


@pytest.mark.parametrize("changed", [b"c_codecs\nencode\n", b"cnumpy\nndarray\n", b"]", b"cbuiltins\nslice\n"])
def test_only_records_are_given_a_state(changed: bytes) -> None:
    """What a pickle sets on a function would stay for all that are read after it."""
    with pytest.raises(pickle.UnpicklingError, match="refused to set the state"):
        load(changed + b"N}\x8c\x0c__defaults__)s\x86b.")
    assert unpickling._encode.__defaults__ is None


def test_damaged_pickles_raise_and_never_crash() -> None:
    chance = random.Random(0)
    whole = pickle.dumps({"X": ARRAYS[5], "y": ARRAYS[0], "z": [slice(1, 2), ARRAYS[2]]}, 2)
    for _ in range(2000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        with contextlib.suppress(Exception):  # any error is an answer; a crash would end the tests
            load(bytes(content))


@pytest.mark.parametrize("written", ["}%sK\x01s", "}(%sK\x01u", "(%sK\x01d", "(%s\x91", "\x8f(%s\x90"])
def test_what_takes_long_to_hash_is_refused(written: str) -> None:
    """A tuple that holds another one twice, which does so too: each level doubles the time."""
    pairs = b")" + b"2\x86" * 60
    before, after = (part.encode("latin1") for part in written.split("%s"))
    with pytest.raises(pickle.UnpicklingError, match=r"refused a (key|set)"):
        load(b"\x80\x04" + before + pairs + after + b".")


def test_whole_numbers_of_any_length_are_no_keys() -> None:
    """Multiples of 2^61 - 1 have the same hash, so that a dictionary of them takes a time that grows as its square."""
    assert load(pickle.dumps({-(2**63) + 1: 1, True: 2}, 2)) == {-(2**63) + 1: 1, True: 2}
    with pytest.raises(pickle.UnpicklingError, match="more than 63 bits"):
        load(pickle.dumps({(2**61 - 1) * number: 0 for number in range(60_000)}, 2))


def test_axes_of_any_length_are_not_multiplied() -> None:
    for shape in ((2**63,), tuple([2**62] * 65), tuple([10**4000] * 1000)):
        with pytest.raises(pickle.UnpicklingError, match="invalid shape"):
            load(pickle.dumps(State((1, shape, Type("f8", NUMBERS), False, b""))))


@pytest.mark.parametrize("code", [b"\x96" + (2**33).to_bytes(8, "little"), b"\x97", b"N\x98"])
def test_no_memory_is_reserved_for_buffers(code: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="refused a set or a buffer"):
        load(b"\x80\x05" + code + b".")


def test_a_compressed_pickle_is_compared_with_its_checksum() -> None:
    whole = gzip.compress(pickle.dumps(ARRAYS[0], 2), mtime=0)
    with gzip.open(io.BytesIO(whole)) as file:
        assert InertUnpickler(file).load().shape == (2, 3)
    for position in range(len(whole) - 8, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        with gzip.open(io.BytesIO(damaged)) as file, pytest.raises(gzip.BadGzipFile):
            InertUnpickler(file).load()
    with pytest.raises(pickle.UnpicklingError, match="follows the end"):
        load(pickle.dumps(1) + b"x")

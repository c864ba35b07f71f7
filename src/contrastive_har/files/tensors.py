"""Named tensors as safetensors, with a stamp and a checksum; reading executes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.files.stamps import SchemaError, check_stamp, refuse_broken, stamp


def write_tensors(tensors: Mapping[str, Tensor], path: Path, kind: str, **entries: str) -> None:
    """Write named tensors as safetensors with a stamp of ``kind``, further entries and a checksum in the header."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = stamp(kind, **entries)
    save_file(copies, path, metadata={**header, "checksum": _checksum(header, copies)})


def read_tensors(path: Path, kind: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the header and the tensors of ``kind`` back; nothing in the file is executed.

    Raises:
        SchemaError: if the file is not of this kind and schema version, or has changed since it was written.
    """
    with refuse_broken(path, "safetensors"), safe_open(path, framework="pt") as file:
        header: dict[str, str] = file.metadata() or {}
        check_stamp(path, header, kind)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if header.pop("checksum", None) != _checksum(header, tensors):  # a missing one counts as damage
            raise SchemaError(f"{path}: its content does not have the checksum it was written with. Run again.")
        return header, tensors


def require_like(name: str, value: Tensor, like: Tensor) -> None:
    """Check that a tensor has the shape and type of another one, and is finite.

    Raises:
        ValueError: if it has not.
    """
    if (value.shape, value.dtype) != (like.shape, like.dtype):
        raise ValueError(
            f"tensor {name} is {value.dtype} {tuple(value.shape)} instead of {like.dtype} {tuple(like.shape)}"
        )
    if not value.isfinite().all():
        raise ValueError(f"tensor {name} is not finite")


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    parts = [part for name in sorted(tensors) for part in (name, tensors[name].numpy())]
    return fingerprint(json.dumps(header, sort_keys=True), *parts)

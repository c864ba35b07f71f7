"""Checkpoints: an interrupted training continues where it stopped, with the same result as without interruption."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from contrastive_har.files.atomic import write_atomically
from contrastive_har.files.stamps import SchemaError, refuse_broken
from contrastive_har.files.tensors import read_tensors, write_tensors

KIND = "checkpoint"
_KEPT = 2  # checkpoints: if the newest is broken, there is one before it


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after some epoch.

    Attributes:
        epoch: Number of completed epochs.
        tensors: Tensors by name.
        facts: Plain values by name.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The newest checkpoints of one training.

    Attributes:
        folder: Their folder, shared with the other repeats of the training.
        training: Fingerprint of everything the training depends on: code, data, settings, seed.
        every: Epochs between two checkpoints.
    """

    folder: Path
    training: str
    every: int

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint atomically and delete all but the newest two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(self.path(checkpoint.epoch)) as staged:
            write_tensors(
                checkpoint.tensors,
                staged,
                KIND,
                training=self.training,
                epoch=str(checkpoint.epoch),
                facts=json.dumps(dict(checkpoint.facts)),
            )
        for path in self._paths()[:-_KEPT]:
            path.unlink(missing_ok=True)  # another run of the same training may have deleted it

    def newest(self) -> Checkpoint | None:
        """Return the newest valid checkpoint, if there is any; broken files are reported and skipped."""
        for path in reversed(self._paths()):
            try:
                return self._read(path)
            except SchemaError as error:
                logging.getLogger(__name__).warning("%s This checkpoint is not used.", error)
        return None

    def _read(self, path: Path) -> Checkpoint:
        with refuse_broken(path, KIND):
            header, tensors = read_tensors(path, KIND)
            if header["training"] != self.training:
                raise SchemaError(f"{path}: belongs to another training.")
            if path != self.path(int(header["epoch"])):
                raise SchemaError(f"{path}: holds epoch {header['epoch']}.")
            return Checkpoint(int(header["epoch"]), tensors, dict(json.loads(header["facts"])))

    def path(self, epoch: int) -> Path:
        """Return the path of the checkpoint after an epoch."""
        return self.folder / f"{self._name}-{epoch:06d}.safetensors"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self._name}-*.safetensors"))

    @property
    def _name(self) -> str:
        return self.training[:16]

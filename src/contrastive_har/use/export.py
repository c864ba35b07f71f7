"""Export of a recogniser to ONNX, for phones, watches and other runtimes."""

from __future__ import annotations

import io
import json
import logging
import warnings

import torch

from contrastive_har.use.cards import describe_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser

_OPSET = 18


def export_onnx(recogniser: TrainedRecogniser) -> bytes:
    """Return an ONNX model: ``windows`` (batch, time, channels), as measured, to ``probabilities`` (batch, classes).

    Its metadata describe the model: channels, units, Hz, activities and origin.

    Raises:
        RuntimeError: if the exporter is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - the exporter needs it, and its own message is less clear
    except ImportError as error:
        raise RuntimeError(f"Export needs the package '{error.name}': pip install 'contrastive-har[onnx]'.") from error
    network = recogniser.build()
    example = torch.zeros(2, recogniser.length, len(recogniser.description.channels))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["windows"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    onnx.helper.set_model_props(
        model, {name: json.dumps(value) for name, value in describe_recogniser(recogniser).items()}
    )
    onnx.checker.check_model(model)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()

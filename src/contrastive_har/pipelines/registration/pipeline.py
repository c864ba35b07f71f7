"""encoders and classifiers of all methods, scores -> recogniser, stored and registered."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, pipeline

from contrastive_har.pipelines.binding import bind
from contrastive_har.pipelines.registration.nodes import choose_recogniser


def create_pipeline(protocol: str, splits: list[str], methods: list[str]) -> Pipeline:
    """Return the registration stage of a protocol.

    Args:
        protocol: Its name.
        splits: Those that have validation windows to choose by.
        methods: To choose from.
    """
    # Inside the stage a name of another namespace is written with underscores; ``outside`` says where it really is.
    trained = {
        f"{split}.{method}.{kind}": f"{split}__{method}__{kind}"
        for split in splits
        for method in methods
        for kind in ("encoders", "classifiers")
    }
    outside = {local: f"{protocol}.{name}" for name, local in trained.items()}
    node = Node(
        func=bind(choose_recogniser, protocol=protocol),
        inputs={"windows": "windows", "scores": "scores", **trained},
        outputs=["recogniser", "registered_recogniser"],
        name="choose_recogniser",
    )
    return pipeline([node], namespace=protocol, inputs=outside, tags="registration")

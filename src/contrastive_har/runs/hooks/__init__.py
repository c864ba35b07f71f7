"""Hooks around every Kedro run, one concern per module; nodes do not depend on them."""

from contrastive_har.runs.hooks.checkpoints import CheckpointHooks
from contrastive_har.runs.hooks.collector import CollectorHooks
from contrastive_har.runs.hooks.context import NodeClock
from contrastive_har.runs.hooks.origin import OriginHooks
from contrastive_har.runs.hooks.plans import PlanHooks
from contrastive_har.runs.hooks.progress import ProgressHooks
from contrastive_har.runs.hooks.summary import SummaryHooks
from contrastive_har.runs.hooks.tracking import TrackingHooks
from contrastive_har.runs.hooks.versions import VersionHooks
from contrastive_har.runs.hooks.workers import WorkerHooks

_CLOCK = NodeClock()
HOOKS = (
    _CLOCK,
    PlanHooks(),
    VersionHooks(_CLOCK),
    TrackingHooks(),
    ProgressHooks(),
    SummaryHooks(_CLOCK),
    WorkerHooks(),
    CheckpointHooks(),
    CollectorHooks(),
    OriginHooks(),  # the last begins first: the others read what it adds
)

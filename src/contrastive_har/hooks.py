"""What happens around every Kedro run; nodes know of none of it."""

from contrastive_har.runs.helpers import CheckpointHooks, HelperHooks
from contrastive_har.runs.summary import SummaryHooks
from contrastive_har.runs.tracking import TrackingHooks
from contrastive_har.runs.versions import VersionHooks

HOOKS = (VersionHooks(), TrackingHooks(), SummaryHooks(), HelperHooks(), CheckpointHooks())

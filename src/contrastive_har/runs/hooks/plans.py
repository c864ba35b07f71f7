"""The plans of the protocols and the texts of the data set, as parameters of the nodes."""

from __future__ import annotations

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset

from contrastive_har.runs.hooks.context import ContextHooks


class PlanHooks(ContextHooks):
    """Adds the plans of all protocols and the texts of the data set to the catalog.

    Plans in the parameters of the configuration would be thousands of catalog entries: Kedro adds every value at every
    depth.
    """

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Read the parameters once, and derive the plans from them.

        Raises:
            ParameterValidationError: if a protocol's settings are not valid.
        """
        from kedro.validation.exceptions import ParameterValidationError

        from contrastive_har.protocols import ProtocolError, plans_of  # slow to import

        super().after_context_created(context)
        loader = context.config_loader
        loader["parameters"] = loader["parameters"]  # cached: each access would read the files again
        try:
            self._plans = plans_of(loader["parameters"])
        except ProtocolError as error:
            raise ParameterValidationError(f"Parameter validation failed:\n- {error}") from error

    @hook_impl(tryfirst=True)
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Add the plans, and the texts of the data set: stored windows have those of the time when they were cut."""
        from contrastive_har.protocols import PLANS
        from contrastive_har.sources import texts_of

        for name, plan in self._plans.items():
            catalog[f"params:{PLANS}.{name}"] = MemoryDataset(plan, copy_mode="assign")
        texts = texts_of(self.context.config_loader["parameters"]["dataset"], catalog.load("raw_files"))
        catalog["params:texts"] = MemoryDataset(texts, copy_mode="assign")

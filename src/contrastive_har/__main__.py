"""The command line: ``contrastive-har`` or ``python -m contrastive_har``.

With a command it is that of :mod:`contrastive_har.commands`; with options only, or none, it is ``kedro run``.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def main(*arguments: Any, **options: Any) -> Any:
    """Run a command; called with arguments, or for options only, run a pipeline with the arguments of ``kedro run``."""
    given = sys.argv[1:]
    asks_for_help = given[:1] in (["-h"], ["--help"])
    completes = "_CONTRASTIVE_HAR_COMPLETE" in os.environ
    if completes or (not (arguments or options) and given and (asks_for_help or not given[0].startswith("-"))):
        from contrastive_har.commands import commands
        from contrastive_har.runs.console import write_all_characters

        write_all_characters()
        return commands(prog_name="contrastive-har")
    from contrastive_har.commands._kedro import run_kedro

    return run_kedro(*arguments, **options)


if __name__ == "__main__":
    main()

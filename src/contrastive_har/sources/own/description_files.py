"""The file ``dataset.yml`` of a folder of recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.files.texts import read_yaml
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading


def refuse_misnamed(folder: Path) -> None:
    """Refuse a folder whose description has nearly the right name, and would be ignored.

    Raises:
        BadRecordingError: if there is one.
    """
    if not folder.is_dir():
        return
    names = {path.name for path in folder.iterdir() if path.stem.casefold() == Path(DESCRIPTION_FILE).stem}
    if DESCRIPTION_FILE not in names and (alike := [name for name in names if name.lower().endswith(("yml", "yaml"))]):
        raise BadRecordingError(f"{folder / alike[0]}: rename it to {DESCRIPTION_FILE}.")


def read_description_file(folder: Path) -> dict[str, Any]:
    """Return the content of ``dataset.yml``, unchecked.

    Raises:
        BadRecordingError: if it is missing or not YAML.
    """
    path = folder / DESCRIPTION_FILE
    refuse_misnamed(folder)
    if not path.exists():
        raise BadRecordingError(
            f"{path} is missing. It names channels, units, Hz and activities: 'contrastive-har describe {folder}' "
            "writes one for you to correct; see docs/your_data.md."
        )
    try:
        content = read_yaml(path)
    except Exception as error:  # also invalid dates and too deep nesting
        raise BadRecordingError(f"{path}: not valid YAML ({explain(error)}). Correct it.") from error
    if not isinstance(content, dict):
        raise BadRecordingError(f"{path}: expected 'key: value' lines; see docs/your_data.md.")
    return content


def divide(content: Mapping[str, Any], path: Path) -> tuple[Reading, dict[str, Any]]:
    """Divide the content of ``dataset.yml`` into how files are read, and all else.

    Raises:
        BadRecordingError: if a key of the first part is invalid.
    """
    own = {key: value for key, value in content.items() if key in Reading.model_fields}
    try:
        reading = Reading.model_validate(own)
        for layout in (*reading.layouts, *([reading.intervals] if reading.intervals else [])):
            _ = layout.regex
    except (ValidationError, re.error) as error:
        raise BadRecordingError(f"{path}: {explain(error)}. See docs/your_data.md.") from error
    return reading, {key: value for key, value in content.items() if key not in own}

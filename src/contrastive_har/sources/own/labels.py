"""Activities of samples: from a column, from the name of the file, or from files of intervals."""

from __future__ import annotations

import re
import unicodedata

from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading, quoted

_NOBODY = ("nan", "none", "null", "nat", "n/a", "<na>")

LEFT_OUT = -2
"""Code of samples that are not used."""

_LONGEST_NAME = 200  # letters: names become parts of paths and tables
_LONGEST_CODE = 6  # digits
_WHOLE = re.compile(r"(-?\d+)\.0+")


class Labels:
    """Codes of activities by the names that files have for them.

    Args:
        description: Activities by code.
        reading: Further names.

    Raises:
        ValueError: if a name of an activity is the code of another, or a synonym is of no activity.
    """

    def __init__(self, description: DatasetDescription, reading: Reading) -> None:
        self.codes = {name: code for code, name in description.activities.items()}
        for name, code in self.codes.items():
            if name.lstrip("-").isdigit() and int(name) != code and int(name) in description.activities:
                other = description.activities[int(name)]
                raise ValueError(
                    f"activity '{name}' has the code {code}, but {name} is the code of '{other}': a label {name} "
                    "could be either. Give each activity the number that the files have as its code, and a name in "
                    "words"
                )
        for code in (UNLABELLED, *description.activities):
            # Programs write whole numbers as 1.0 if other cells of the column are empty.
            self.codes |= {f"{code}": code, f"{code}.0": code}
        for name, activity in reading.synonyms.items():
            if activity not in self.codes:
                raise ValueError(f"synonyms: '{name}' is said to be '{activity}', which 'activities' does not name")
            if self.codes.get(name, self.codes[activity]) != self.codes[activity]:
                raise ValueError(
                    f"synonyms: '{name}' is said to be '{activity}', but 'activities' has it too. Give each activity "
                    "the number or name that the files have"
                )
            self.codes[name] = self.codes[activity]
        for key in ("unlabelled", "left_out"):
            if known := [name for name in getattr(reading, key) if name in self.codes and name != f"{UNLABELLED}"]:
                raise ValueError(f"{key} lists '{known[0]}', which 'activities' or 'synonyms' names")
        self.codes |= {"": UNLABELLED, **dict.fromkeys(reading.unlabelled, UNLABELLED)}
        self.codes |= dict.fromkeys(reading.left_out, LEFT_OUT)
        self._names = description.activities
        self._known = ", ".join(description.activities.values())

    def of(self, name: str, where: str) -> int:
        """Return the code of a name.

        Raises:
            BadRecordingError: if it is not known.
        """
        if name in self.codes:
            return self.codes[name]
        same = [known for known in self.codes if known and known.casefold() == name.casefold()]
        code = int(name) if name.isascii() and name.isdigit() and len(name) < _LONGEST_CODE else UNLABELLED
        known = self._names.get(code, self._names.get(self.codes[same[0]]) if same else None)
        cure = (
            f"synonyms: {{{quoted(name[:100])}: {quoted(known)}}}" if known else f"unlabelled: [{quoted(name[:100])}]"
        )
        raise BadRecordingError(
            f"{where}: unknown activity '{name[:100]}'. Known: {self._known}. Correct the row, add it to "
            f"'activities', or write '{cure}' in {DESCRIPTION_FILE}."
        )


def spelled(role: str, name: str, reading: Reading) -> str:
    """Return the name of a subject, a recording or a group in one spelling.

    Raises:
        ValueError: if it is empty or cannot be printed.
    """
    name = unicodedata.normalize("NFC", name)
    if not name or name.casefold() in _NOBODY:
        raise ValueError("is empty. Fill it in, or remove the row")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"has more than {_LONGEST_NAME} letters: '{name[:20]}...'. Shorten it")
    if not name.isprintable():
        raise ValueError(f"has characters that cannot be printed: {name!r}. Correct the name")
    match = _WHOLE.fullmatch(name)
    name = match[1] if match else name  # programs write 1.0 for 1 beside empty cells
    return reading.subjects.get(name, name) if role == "subject" else name

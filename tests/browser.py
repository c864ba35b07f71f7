"""Pages in the machine's Chromium: what a reader of them sees, and what they ask of other machines."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, TimeoutError, sync_playwright  # noqa: A004

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
_HERE = {"127.0.0.1", "localhost", "::1"}
_PATIENCE = 5000  # milliseconds
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Visit:
    """An open page and what has happened since it was opened.

    Attributes:
        page: The page.
        errors: Errors of scripts, and messages that the page wrote to the console as errors.
        outside: Addresses on other machines that the page has asked for; none of the requests is let through.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def overflow(self, width: int) -> int:
        """Return by how many pixels the page is wider than a window of ``width`` pixels."""
        self.page.set_viewport_size({"width": width, "height": 900})
        with contextlib.suppress(TimeoutError):
            self.page.wait_for_function(f"{_OVERFLOW} <= 0", timeout=_PATIENCE)  # figures follow the size of the window
        return int(self.page.evaluate(_OVERFLOW))

    def accessibility_faults(self) -> list[str]:
        """Return the faults that axe-core calls serious or critical, each with the first element that has it."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]


@contextmanager
def open_page(address: str | Path, width: int = 1400, height: int = 900) -> Iterator[Visit]:
    """Open a file or an address of this machine; skip the test if there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS])
        visit = Visit(browser.new_page(viewport={"width": width, "height": height}))

        def let_through(route: Route, request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _HERE:
                visit.outside.append(request.url)
                route.abort()
            else:
                route.continue_()

        visit.page.route("**/*", let_through)
        visit.page.on("console", lambda said: visit.errors.append(said.text) if said.type == "error" else None)
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
        yield visit
        browser.close()

"""The browser of the tests notes what pages do wrong."""

from __future__ import annotations

from pathlib import Path

from tests.browser import open_page

PAGE = """<!doctype html><title>T</title><img src="http://example.org/a.png"><div style="width:900px">wide</div>
<script>console.error("said"); throw new Error("thrown")</script>"""


def test_what_a_page_does_wrong_is_noted(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    with open_page(tmp_path / "page.html") as visit:
        assert any("said" in error for error in visit.errors)
        assert any("thrown" in error for error in visit.errors)
        assert visit.outside == ["http://example.org/a.png"]
        assert visit.overflow(1400) == 0
        assert visit.overflow(390) > 500
        assert any(fault.startswith("image-alt") for fault in visit.accessibility_faults())


def test_a_good_page_has_no_faults(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<!doctype html><html lang="en"><title>T</title><main><h1>Good</h1></main>')
    with open_page(tmp_path / "page.html") as visit:
        assert (visit.errors, visit.outside, visit.accessibility_faults()) == ([], [], [])

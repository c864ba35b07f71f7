"""The report in a real browser."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from contrastive_har.runs.manifest import Manifests
from tests.browser import Visit, open_page
from tests.pipelines.conftest import Project

MOST_BYTES = 6_000_000
SECTIONS = ["results", "differences", "hard", "windows", "maps", "leakage", "cost", "repeat", "model"]


@pytest.fixture(scope="module")
def page(finished: Project) -> Path:
    return finished.newest("report.html")


@pytest.fixture
def visit(page: Path) -> Iterator[Visit]:
    with open_page(page) as opened:
        opened.page.wait_for_selector("figure.drawn .main-svg")
        yield opened


def draw_all(visit: Visit) -> None:
    """Scroll to every figure, and wait until it is drawn."""
    for figure in visit.page.query_selector_all("figure[data-chart]"):
        figure.scroll_into_view_if_needed()
        visit.page.wait_for_function("figure => figure.querySelector('.main-svg')", arg=figure)


def test_figures_draw_without_errors_and_without_the_network(visit: Visit) -> None:
    draw_all(visit)
    assert (visit.errors, visit.outside) == ([], [])
    names = visit.page.eval_on_selector_all("figure[data-chart]", "all => all.map(one => one.dataset.chart)")
    assert {"answer", "label_efficiency", "loss_curves", "cluster_agreement"} <= set(names)
    assert {
        f"subject_wise.{name}" for name in ("training_curves", "confusion_matrices", "subjects", "embedding_map")
    } <= {*names}
    assert visit.page.eval_on_selector_all("nav a", "all => all.map(one => one.hash.slice(1))") == SECTIONS
    pictures = "all => all.every(one => one.naturalWidth > 100)"
    assert visit.page.eval_on_selector_all("img", pictures), "pictures can be decoded"


def test_nothing_overflows_and_axe_finds_no_serious_fault(visit: Visit) -> None:
    draw_all(visit)
    assert [visit.overflow(width) for width in (1400, 390)] == [0, 0]
    assert visit.accessibility_faults() == []


def test_tables_fit_the_page_and_pictures_can_be_read_on_a_phone(visit: Visit) -> None:
    cut_off = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.ariaLabel)"
    assert visit.page.eval_on_selector_all(".scroll:has(table)", cut_off) == []
    visit.overflow(390)
    assert visit.page.locator("img[alt='Windows and their views']").bounding_box()["width"] > 800  # type: ignore[index]


def test_the_first_screen_answers(visit: Visit) -> None:
    assert visit.page.locator(".answer").inner_text().startswith("With 10 % of the labels, ")
    assert "no difference here can be significant" in visit.page.locator(".answer + p").inner_text()
    box = visit.page.locator("figure[data-chart=answer]").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 1000


def test_tables_are_sorted_and_filtered(visit: Visit) -> None:
    table = visit.page.locator("#results ~ .scroll table").first

    def column(index: int) -> list[str]:
        return table.locator(f"tbody tr:visible td:nth-child({index})").all_inner_texts()

    head = table.locator("thead tr").last.locator("th").first
    head.get_by_role("button").press("Enter")
    scores = [float(text.split()[0]) for text in column(3)]
    assert len(scores) > 10
    assert scores == sorted(scores, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert [float(text.split()[0]) for text in column(3)] == sorted(scores)
    visit.page.get_by_label("Filter rows").first.fill("clusterclhar fine")
    assert set(column(2)) == {"Fine-tuning"}
    assert all("ClusterCLHAR" in name for name in column(1))


def shown(visit: Visit, figure: str) -> list[str]:
    """Return the names of the visible traces of a figure."""
    found = f"figure[data-chart='{figure}'] .js-plotly-plot"
    names: list[str] = visit.page.eval_on_selector(
        found, "plot => plot.data.filter(one => one.visible).map(one => one.name || one.meta.shown)"
    )
    return names


def test_lines_are_switched_on_and_off(visit: Visit) -> None:
    draw_all(visit)
    figure = visit.page.locator("figure[data-chart=label_efficiency]")
    before = shown(visit, "label_efficiency")
    assert len(before) > 5
    figure.get_by_label("MoCo").press("Space")
    assert set(before) - set(shown(visit, "label_efficiency")) == {"MoCo, linear evaluation"}
    figure.get_by_role("button", name="all or none").press("Enter")
    assert shown(visit, "label_efficiency") == []
    assert figure.get_by_text("Nothing was computed for this choice.").is_visible()
    figure.get_by_label("Supervised").press("Space")
    assert shown(visit, "label_efficiency") == ["Supervised, from scratch"]


def test_matrices_and_maps_have_choices(visit: Visit) -> None:
    draw_all(visit)
    assert shown(visit, "paper.confusion_matrices") == ["share of the true activity (%)"]
    figure = visit.page.locator("figure[data-chart='paper.confusion_matrices']")
    figure.get_by_label("shown").select_option("number of windows")
    assert shown(visit, "paper.confusion_matrices") == ["number of windows"]
    assert set(shown(visit, "paper.embedding_map")) == {"rest", "walk", "run"}
    figure = visit.page.locator("figure[data-chart='paper.embedding_map']")
    figure.get_by_label("colour").select_option("subject")
    assert all(re.fullmatch(r"s\d+", name) for name in shown(visit, "paper.embedding_map"))


def test_pictures_are_printed(visit: Visit) -> None:
    draw_all(visit)
    visit.page.emulate_media(media="print")
    figure = visit.page.locator("figure[data-chart=answer]")
    assert figure.locator("img").is_visible()
    assert not figure.locator(".js-plotly-plot").is_visible()


def test_a_report_written_again_names_the_run_that_computed_its_scores(once: Project) -> None:
    before = once.newest("predictions.parquet").parent.name  # other tests write reports again
    ran = Manifests(once.path / "data/08_reporting/run_manifest.json").find(before)
    assert ran is not None
    once.run("report", run_id=before)
    (report,) = once.path.glob(f"data/**/report.html/{before}/report.html")
    text = html.unescape(report.read_text(encoding="utf-8"))
    assert f"computed by this run ({ran.commands[0]}; kedro run --pipeline=report " in text
    once.run("reporting")
    text = html.unescape(once.newest("report.html").read_text(encoding="utf-8"))
    assert once.newest("report.html").parent.name > before
    assert f"computed by run {before} ({ran.commands[0]}; kedro run --pipeline=report " in text
    repeated, _, rest = text.partition("The same machine repeats every digit")
    assert f"<code>{ran.commands[0]}\n" in repeated
    assert "kedro run --pipeline=reporting " in rest


def test_the_page_is_one_small_file_that_says_where_it_comes_from(page: Path, finished: Project) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < MOST_BYTES
    assert not re.search(r"""(src=["'](?!data:)|<link|@import|url\()""", text)
    assert not re.search(r"\{\{|\{%|None|nan<", re.sub(r"base64,[^\"]+|<script.*?</script>", "", text, flags=re.DOTALL))
    run_id = page.parent.name
    assert f'<td>Run</td><td class="text wrap">{run_id}</td>' in text
    assert f"data/08_reporting/run_manifest.json/{run_id}/run_manifest.json" in text
    assert "kedro run '--params=dataset=my_data," in html.unescape(text)
    mlflow.set_tracking_uri(f"sqlite:///{finished.path / 'mlflow.db'}")
    (name,) = {model.name for model in mlflow.MlflowClient().search_registered_models()}
    assert f"models:/{name}/latest" in text


def test_empty_figures_are_left_out(page: Path, finished: Project) -> None:
    assert list(finished.path.glob("data/**/critical_differences.png"))
    text = page.read_text(encoding="utf-8")
    assert "red bar" not in text
    assert "0 significant" not in text

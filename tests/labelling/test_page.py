"""The page to label in, driven in a browser; and what is not let through to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect
from starlette.testclient import TestClient

from contrastive_har.labelling import page, stopping
from contrastive_har.labelling.answers import Answer, AnswerFile
from contrastive_har.labelling.page import create_page
from contrastive_har.labelling.session import LabellingSession, LabellingSettings
from contrastive_har.labelling.strategies import ClusterCentres
from tests.browser import Visit, open_page
from tests.labelling.conftest import SUBJECTS, answer_next, open_session, table_of, true_activity

WAIT = 60_000  # milliseconds
STRETCHES = ClusterCentres(unit_length=True, stretch=6)
KEYS = {"rest": "1", "walk": "2", "run": "3"}


@contextlib.contextmanager
def served(folder: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own: its address, and the process."""
    command = [sys.executable, "-m", "contrastive_har", "label", str(folder), "--windows", "6", "--labeller", "anna"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = next(line for line in process.stdout if line.startswith("Label at "))  # after lines of the log
        yield said.split()[2], process
    finally:
        process.kill()
        process.wait()


def wait_for_answers(visit: Visit, count: int) -> None:
    """Wait until the page says how many answers are on disk."""
    expect(visit.page.locator("#progress")).to_contain_text(f" {count} answers on disk", timeout=WAIT)


def start_shown(visit: Visit) -> float:
    return float(str(visit.page.text_content("#title")).split(", ")[1].split(" ")[0])


def test_windows_are_labelled_in_a_browser(unlabelled_folder: Path) -> None:
    with served(unlabelled_folder) as (address, process), open_page(address) as visit:
        page = visit.page
        wait_for_answers(visit, 0)
        assert page.locator("#signal svg polyline").count() == 3
        given = []
        for count in range(1, 5):
            given.append(true_activity(start_shown(visit)))
            page.keyboard.press(KEYS[given[-1]])
            wait_for_answers(visit, count)
            assert table_of(unlabelled_folder)["activity"].tolist() == given  # on disk before the page says so
        assert page.locator("#examples svg").count() == 3
        assert visit.accessibility_faults() == []
        assert visit.overflow(400) <= 0
        page.keyboard.press("u")
        wait_for_answers(visit, 5)
        page.keyboard.press("z")
        wait_for_answers(visit, 4)
        assert page.text_content("#believed") == ""
        page.keyboard.press("b")
        expect(page.locator("#believed")).to_contain_text("%", timeout=WAIT)
        page.keyboard.press("o")
        expect(page.locator("#expected")).to_contain_text("macro-F1 on other recordings", timeout=WAIT)
        assert page.locator("#curve svg").count() == 0  # of a single point
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        page.keyboard.press("1")
        expect(page.locator("#error")).to_contain_text("Not saved", timeout=WAIT)
        assert visit.outside == []
    assert table_of(unlabelled_folder)["activity"].tolist() == given


def test_a_session_goes_on_after_the_server_was_killed(unlabelled_folder: Path) -> None:
    with served(unlabelled_folder) as (address, process), open_page(address) as visit:
        wait_for_answers(visit, 0)
        visit.page.click("[data-activity=walk]")
        wait_for_answers(visit, 1)
        visit.page.keyboard.press("s")
        wait_for_answers(visit, 2)
        title = visit.page.text_content("#title")
        os.kill(process.pid, signal.SIGKILL)
    with served(unlabelled_folder) as (address, _), open_page(address) as visit:
        wait_for_answers(visit, 2)
        assert visit.page.text_content("#title") == title
        assert visit.errors == []
    table = table_of(unlabelled_folder)
    assert table[["activity", "labeller", "remark"]].to_numpy().tolist() == [
        ["walk", "anna", ""],
        ["", "anna", "skipped"],
    ]


def test_stretches_are_labelled_in_a_browser(unlabelled_folder: Path) -> None:
    with served(unlabelled_folder, "--stretch", "6") as (address, _), open_page(address) as visit:
        page = visit.page
        wait_for_answers(visit, 0)
        expect(page.locator("#progress")).to_contain_text("0 of 6 stretches")
        left = LabellingSession(unlabelled_folder, LabellingSettings(windows=6, strategy=STRETCHES)).table()["seconds"]
        expect(page.locator("#progress")).to_contain_text(f"{left.sum():.1f} s of signal left")
        page.keyboard.press("2")
        wait_for_answers(visit, 1)
        expect(page.locator("#progress")).to_contain_text(f"{left[1:].sum():.1f} s of signal left")
        expect(page.locator("#progress")).to_contain_text(f"1 answers on disk, {left[0]:.1f} s of signal: walk 1")
        assert visit.errors == []
    (answer,) = table_of(unlabelled_folder).to_dict("records")
    assert answer["end"] - answer["start"] == pytest.approx(left[0])


@pytest.fixture
def client(unlabelled_folder: Path) -> TestClient:
    session = LabellingSession(unlabelled_folder, LabellingSettings(windows=3))
    media = unlabelled_folder.parent / "media"
    media.mkdir()
    (media / "anna.mp4").write_bytes(b"a video")
    (unlabelled_folder.parent / "secret.mp4").write_bytes(b"a secret")
    return TestClient(create_page(session, "anna", media), base_url="http://127.0.0.1")


def test_other_hosts_and_other_sites_are_refused(client: TestClient, unlabelled_folder: Path) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        reply = client.post(
            "/answer", content='{"index": 0, "activity": "walk"}', headers={"content-type": content_type}
        )
        assert reply.status_code == 415
    assert not (unlabelled_folder / "labels.csv").exists()


@pytest.mark.parametrize(
    "content", [{}, {"index": "x"}, {"index": 0, "activity": "swim"}, {"index": 9999, "activity": "run"}]
)
def test_impossible_answers_are_refused(
    client: TestClient, unlabelled_folder: Path, content: dict[str, object]
) -> None:
    assert client.post("/answer", json=content).status_code == 400
    assert client.post("/answer", json=[1]).status_code == 400
    assert not (unlabelled_folder / "labels.csv").exists()


def test_an_answer_from_two_pages_is_written_once(unlabelled_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(unlabelled_folder)
    index = session.proposals()[0]
    write = AnswerFile.append

    def append(file: AnswerFile, answer: Answer) -> None:
        time.sleep(0.2)  # so that the other request comes between the check and the writing
        write(file, answer)

    monkeypatch.setattr(AnswerFile, "append", append)
    client = TestClient(create_page(session, "anna"), base_url="http://127.0.0.1")
    content = {"index": index, "activity": "walk"}
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda _: client.post("/answer", json=content).status_code, range(2)))
    assert sorted(replies) == [200, 400]
    assert len(session.answers()) == 1


def test_videos_are_of_the_recordings_only(client: TestClient) -> None:
    assert client.get("/media/anna").content == b"a video"
    for name in ("secret", "..%2Fsecret", "%2e%2e%2fsecret.mp4", "ben"):
        assert client.get(f"/media/{name}").status_code == 404


def test_of_many_photos_the_nearest_in_time_is_shown(unlabelled_folder: Path, tmp_path: Path) -> None:
    for name in SUBJECTS:
        (tmp_path / "media" / name).mkdir(parents=True)
        for taken in (0, 5.5, 11, 20):
            (tmp_path / "media" / name / f"{taken}.jpg").write_bytes(f"{name} at {taken}".encode())
        (tmp_path / "media" / name / "notes.jpg").write_bytes(b"no time")
    (tmp_path / "secret.jpg").write_bytes(b"a secret")
    session = LabellingSession(unlabelled_folder, LabellingSettings(windows=12))
    client = TestClient(create_page(session, "anna", tmp_path / "media"), base_url="http://127.0.0.1")
    shown = set()
    while "window" in (facts := client.get("/next").json()) and facts["progress"]["answered"] < 12:
        window = facts["window"]
        middle = (window["start"] + window["end"]) / 2
        nearest = min((0, 5.5, 11, 20), key=lambda taken: abs(taken - middle))
        assert window["media"]["taken"] == nearest
        reply = client.get(f"/media/{window['media']['name'].replace('/', '%2F')}")
        assert reply.text == f"{window['recording']} at {nearest:g}"
        shown.add(nearest)
        client.post("/answer", json={"index": window["index"], "activity": "walk"})
    assert len(shown) > 2
    for name in ("..%2Fsecret", "anna%2F..%2F..%2Fsecret", "anna%2F7"):
        assert client.get(f"/media/{name}").status_code == 404


def test_the_page_tells_the_end(client: TestClient, unlabelled_folder: Path) -> None:
    while "window" in (facts := client.get("/next").json()):
        assert facts["window"]["belief"] == {}
        activity = true_activity(facts["window"]["start"])
        client.post("/answer", json={"index": facts["window"]["index"], "activity": activity})
    assert facts["progress"]["answered"] == len(pd.read_csv(unlabelled_folder / "labels.csv"))
    outlook = client.get("/outlook").json()
    assert "macro-F1 on other recordings" in outlook["text"]
    assert len(outlook["curve"]) > 2


def test_further_answers_are_forecast_by_the_windows_that_they_label(
    unlabelled_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(page, "forecast", lambda curve, more: (asked.append(more), stopping.forecast(curve, more))[1])
    session = open_session(unlabelled_folder, strategy=STRETCHES.model_dump())
    answer_next(session, 16)
    labelled = len(session.labelled()[0])
    assert labelled > 20
    client = TestClient(create_page(session, "anna", None), base_url="http://127.0.0.1")
    client.get("/outlook")
    assert asked == [round(6 * labelled / 16)]


def test_the_learning_curve_is_drawn(unlabelled_folder: Path) -> None:
    session = LabellingSession(unlabelled_folder, LabellingSettings(windows=6))
    for _ in range(24):
        index = session.proposals()[0]
        session.answer(index, true_activity(session.span(index)[0]), "anna")
    with served(unlabelled_folder) as (address, _), open_page(address) as visit:
        wait_for_answers(visit, 24)
        expect(visit.page.locator("#curve svg")).to_be_visible(timeout=WAIT)
        assert visit.page.locator("#curve text").count() == 2 * len([3, 6, 12, 24])
        assert "more labels are expected to add" in str(visit.page.text_content("#expected"))
        assert visit.errors == []

"""What a finished run is good for: a registered model, new recordings, other machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import requests
from mlflow.pyfunc.scoring_server import invocations

from contrastive_har.catalog import registry
from contrastive_har.files.tables import read_table
from contrastive_har.reports.expectation import describe_expectation
from contrastive_har.signals.windows import read_windows
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import recognise
from contrastive_har.use.timelines import read_timeline
from tests.conftest import ACTIVITIES
from tests.pipelines.conftest import ROOT, Project

MODEL = "contrastive-har.my_data.semi_supervised"


@pytest.fixture
def tracked(finished_few: Project) -> Project:
    mlflow.set_tracking_uri(f"sqlite:///{finished_few.path / 'mlflow.db'}")
    return finished_few


def expect(project: Project, signals: np.ndarray) -> np.ndarray:
    return recognise(read_recogniser(project.newest("recogniser.safetensors")).build(), signals)


def test_the_registered_model_says_what_the_stored_one_says(tracked: Project) -> None:
    signals = read_windows(tracked.newest("windows.parquet")).signals[:20]
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}/latest")
    found = model.predict(signals)
    expected = expect(tracked, signals)
    np.testing.assert_allclose(found[list(ACTIVITIES.values())], expected, atol=1e-6)
    assert found["activity"].tolist() == [list(ACTIVITIES.values())[best] for best in expected.argmax(1)]
    facts = {name: json.loads(value) for name, value in model.metadata.metadata.items()}
    assert facts["window_samples"] == 64
    assert facts["sampling_rate_hz"] == 50
    assert [channel["name"] for channel in facts["channels"]] == ["x", "y", "z"]
    assert facts["split"] == "subject_wise", "chosen on subjects that took no part in training"
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 64, 3)
    with pytest.raises(mlflow.exceptions.MlflowException, match="shape"):
        model.predict(signals[:, :, :2])
    assert found["unfamiliar"].mean() < 0.5
    assert model.predict(signals + 20)["unfamiliar"].all()
    milli = r"Window \d+: \d+ % of the samples of '.' are beyond -\d+ to \d+ g\. Send them in the unit of the model"
    with pytest.raises(mlflow.exceptions.MlflowException, match=milli):
        model.predict(1000 * signals)
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{MODEL}'")
    parents = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert versions[0].run_id in {run.info.run_id for run in parents if "mlflow.parentRunId" not in run.data.tags}


@pytest.mark.parametrize("value", ["NaN", "null", "1e39"])
def test_what_cannot_be_recognised_is_answered_with_the_reason(tracked: Project, value: str) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}/latest")
    windows = np.zeros((3, 64, 3)).tolist()
    windows[1][2][1] = "VALUE"
    request = json.dumps({"inputs": windows}).replace('"VALUE"', value)
    with pytest.raises(mlflow.exceptions.MlflowException) as caught:
        invocations(request, "application/json", model, model.metadata.get_input_schema())
    assert caught.value.get_http_status_code() == 400
    answer = json.loads(caught.value.serialize_as_json())
    assert "Window 1, sample 2: channel 'y' is null, NaN or infinite. Interpolate it" in answer["message"]
    assert "stack_trace" not in answer
    assert ".py" not in str(answer)
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"Samples up to 3e\+38 give no probabilities"):
        model.predict(np.full((1, 64, 3), 3e38, np.float32))


def test_nothing_in_the_registered_model_is_a_pickle(tracked: Project) -> None:
    model = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/latest"))
    files = {path.name for path in model.rglob("*") if path.is_file()}
    assert "recogniser.safetensors" in files
    assert not {name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))}


def test_a_registration_that_is_done_again_replaces_its_own(tracked: Project) -> None:
    client = mlflow.MlflowClient()
    (first,) = client.search_model_versions(f"name = '{MODEL}'")
    tracked.run("registration", run_id=tracked.newest("recogniser.safetensors").parent.name)
    (again,) = client.search_model_versions(f"name = '{MODEL}'")
    assert again.run_id == first.run_id
    assert again.version != first.version


def test_a_file_that_an_editor_has_open_stops_no_registration(
    tracked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "contrastive_har"
    shutil.copytree(registry._PACKAGE, package)
    (package / "use/.#recognisers.py").symlink_to("somebody@somewhere.1234:5678")
    (package / "use/lost.py").symlink_to("nowhere")
    os.mkfifo(package / "use/pipe.py")
    monkeypatch.setattr(registry, "_PACKAGE", package)
    stored: list[set[str]] = []

    def note(*, code_paths: list[str], **_: object) -> None:
        stored.append({path.relative_to(code_paths[0]).as_posix() for path in Path(code_paths[0]).rglob("*")})
        raise InterruptedError

    monkeypatch.setattr(mlflow.pyfunc, "log_model", note)
    with pytest.raises(InterruptedError):
        registry.RegisteredModelDataset(name="m")._register(
            read_recogniser(tracked.newest("recogniser.safetensors")), "m"
        )
    assert "use/recognisers.py" in stored[0]
    assert not {name for name in stored[0] if "/." in name or "__pycache__" in name}
    assert not {"use/lost.py", "use/pipe.py"} & stored[0]


def test_the_model_is_served(tracked: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "contrastive_har", "serve", "--dataset=my_data", f"--port={port}"]
    signals = read_windows(tracked.newest("windows.parquet")).signals[:3]
    server = subprocess.Popen(command, cwd=tracked.path, start_new_session=True)
    try:
        status, answer = ask(port, json.dumps({"inputs": signals.tolist()}), server)
        refused = [ask(port, wrong, server) for wrong in UNUSABLE]
        table = ask(port, "x,y,z\n1,2,3\n", server, "text/csv")
        server.terminate()  # as an administrator does, who knows of one process
        server.wait(60)
        with socket.socket() as again:
            assert again.connect_ex(("127.0.0.1", port)) != 0, "it is still served"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
    assert (table[0], json.loads(table[1])["message"]) == (415, "Send JSON, with Content-Type: application/json.")
    assert status == 200
    expected = expect(tracked, signals)
    found = pd.DataFrame(json.loads(answer)["predictions"])
    np.testing.assert_allclose(found[list(ACTIVITIES.values())], expected, atol=1e-5)
    for (status, answer), reason in zip(refused, UNUSABLE.values(), strict=True):
        assert status == 400
        assert re.match(reason, json.loads(answer)["message"])
        assert "stack_trace" not in answer
        assert str(ROOT) not in answer


DEEP = 200_000
UNUSABLE = {
    '{"inputs": ' + DEEP * "[" + DEEP * "]" + "}": "The JSON is nested too deeply",
    DEEP * "[": "The JSON is nested too deeply",
    DEEP * '{"inputs": ': "The JSON is nested too deeply",
    '{"inputs": ' + 900 * "[" + 900 * "]" + "}": "The JSON is nested too deeply",
    '{"inputs": "\\ud800"}': r"Invalid input\. Failed to convert data `\?`",  # half a character
    json.dumps({"inputs": [[[0.123456789] * 3] * 63] * 5}): r"Shape of input \(5, 63, 3\) does not match expected",
    500_000 * "x": ".*JSONDecodeError",  # in time that grows with the length, not its square
    '{"inputs": ' + 70 * "[" + 70 * "]" + "}": ".*maximum number of dimension",
    '{"inputs": ' + 5000 * "9" + "}": "Exceeds the limit",
    '{"inputs": [], "instances": []}': "The input must be a JSON dictionary with exactly one of the input fields",
    json.dumps({"inputs": [[[None] * 3] * 64]}): "Window 0, sample 0: channel 'x' is null",
}
"""Requests with the beginnings of their answers."""


def ask(port: int, request: str, server: subprocess.Popen[bytes], kind: str = "application/json") -> tuple[int, str]:
    deadline = time.monotonic() + 180
    while server.poll() is None and time.monotonic() < deadline:
        try:
            answer = requests.post(
                f"http://127.0.0.1:{port}/invocations",
                request,
                headers={"Content-Type": kind},
                timeout=60,
            )
        except requests.ConnectionError:
            time.sleep(0.5)
        else:
            return answer.status_code, answer.text
    raise AssertionError(f"the server did not come up (status {server.poll()})")


def test_new_recordings_become_a_timeline(tracked: Project, capsys: pytest.CaptureFixture[str]) -> None:
    source = pd.read_csv(tracked.path / "data/01_raw/my_data/s1.csv")
    folder = tracked.path / "new"
    folder.mkdir()
    seconds = np.arange(len(source)) / 50
    columns = {name: np.interp(np.arange(0, seconds[-1], 0.01), seconds, source[name]) for name in ("z", "x", "y")}
    pd.DataFrame({"timestamp": np.arange(0, seconds[-1], 0.01), **columns}).to_csv(folder / "day.csv", index=False)
    tracked.run("inference", recordings=str(folder))
    timeline = read_timeline(tracked.newest("timeline.parquet"))
    assert set(timeline["recording"]) == {"day"}
    assert timeline["end"].max() == pytest.approx(seconds[-1], abs=0.05)
    said = capsys.readouterr().out
    assert str(tracked.newest("timeline.parquet")) in said
    assert str(tracked.newest("timeline.png")) in said
    assert "minutes of" in said
    assert timeline["unfamiliar"].mean() < 0.5
    for name in ("x", "y", "z"):
        columns[name] *= 9.81
    pd.DataFrame({"timestamp": np.arange(0, seconds[-1], 0.01), **columns}).to_csv(folder / "day.csv", index=False)
    tracked.run("inference", recordings=str(folder))
    assert read_timeline(tracked.newest("timeline.parquet"))["unfamiliar"].mean() > 0.5


def test_the_exported_model_says_the_same(tracked: Project) -> None:
    tracked.run("export")
    signals = read_windows(tracked.newest("windows.parquet")).signals[:20]
    session = onnxruntime.InferenceSession(tracked.newest("recogniser.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"windows": signals})
    np.testing.assert_allclose(found, expect(tracked, signals), atol=1e-5)


def test_a_run_says_what_to_expect_of_its_recogniser(once: Project, capsys: pytest.CaptureFixture[str]) -> None:
    once.run("registration,reporting")
    said = " ".join(capsys.readouterr().out.split())
    people = read_table(once.newest("whole_recordings.parquet"), "whole_recordings")
    assert len(people)
    assert f"Expect: {describe_expectation(people, 0.95)}" in said
    assert "test windows: macro-F1" in said

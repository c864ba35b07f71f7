"""The page to label in: a small web application on this machine, which asks nothing of any other."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from contrastive_har.labelling.session import LabellingSession
from contrastive_har.labelling.stopping import forecast, learning_curve

Result = TypeVar("Result")

ADDRESS = "127.0.0.1"
_POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
_CONTEXT = 2.0  # seconds beside a window
_EXAMPLES = 3
_VIDEOS, _PHOTOS = (".mp4", ".webm"), (".jpg", ".jpeg", ".png")


def create_page(session: LabellingSession, labeller: str, media: Path | None = None) -> Starlette:
    """Return the application: a page, and what its script asks for.

    Every answer is on disk before the request for it is answered. Only requests to this machine by name are served, and
    answers must be JSON, which pages of other sites cannot send.

    Args:
        session: The windows and their answers.
        labeller: Who labels.
        media: Folder of videos or photos with the names of the recordings; or of folders with these names, of photos
            that are named by when they were taken, in seconds by the time stamps of the recording.
    """
    views = _Views(session, labeller, media)
    routes = [
        Route("/", views.page),
        Route("/next", views.next),
        Route("/outlook", views.outlook),
        Route("/media/{name:path}", views.media),
        Route("/answer", views.answer, methods=["POST"]),
        Route("/undo", views.undo, methods=["POST"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[ADDRESS, "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def listen(port: int) -> socket.socket:
    """Return a socket on a port of this machine, or on any free one for 0.

    Raises:
        OSError: if the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((ADDRESS, port))
    return listening


def serve(page: Starlette, listening: socket.socket) -> None:
    """Serve a page until the process is interrupted."""
    uvicorn.Server(uvicorn.Config(page, log_level="warning")).run(sockets=[listening])


class _Views:
    """What the page and its script are answered."""

    def __init__(self, session: LabellingSession, labeller: str, media: Path | None) -> None:
        self._session, self._labeller, self._media = session, labeller, media
        self._lock = threading.Lock()  # requests are answered in threads, also those of several pages

    async def page(self, request: Request) -> HTMLResponse:
        """Return the page."""
        text = resources.files("contrastive_har.labelling").joinpath("templates/label.html").read_text("utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})

    async def next(self, request: Request) -> JSONResponse:
        """Return the next window, and the progress."""
        return JSONResponse(await self._alone(self._next, "belief" in request.query_params))

    async def outlook(self, request: Request) -> JSONResponse:
        """Return what a head knows by now, and what further labels would add."""
        return JSONResponse(await run_in_threadpool(self._outlook))

    async def media(self, request: Request) -> Response:
        """Return the video or photo of a recording."""
        found = self._medium(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return FileResponse(found)

    async def answer(self, request: Request) -> JSONResponse:
        """Write an answer to disk."""
        given = await _content(request)
        try:
            index, activity, remark = int(given["index"]), str(given.get("activity", "")), given.get("remark", "")
            await self._alone(self._session.answer, index, activity, self._labeller, remark)
        except (KeyError, TypeError, ValueError) as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse({})

    async def undo(self, request: Request) -> JSONResponse:
        """Take the last answer back."""
        await _content(request)
        await self._alone(self._session.file.undo)
        return JSONResponse({})

    async def _alone(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do work in a thread, while no other uses the session."""

        def locked() -> Result:
            with self._lock:
                return work(*arguments)

        return await run_in_threadpool(locked)

    def _next(self, believes: bool) -> dict[str, Any]:
        session = self._session
        answers, proposals = session.answers(), session.proposals()
        counts = Counter(answer.activity or answer.remark for answer in answers)
        size = session.settings.windows
        facts: dict[str, Any] = {
            "activities": session.activities,
            "counts": counts,
            "unit": "windows" if session.settings.strategy.stretch is None else "stretches",
            "progress": {
                "answered": len(answers),
                "round": len(answers) // size + 1,
                "size": size,
                "seconds": sum(answer.end - answer.start for answer in answers),
                "seconds_left": sum(end - start for start, end in map(session.span, proposals)),
            },
        }
        if not proposals:
            return facts
        index = proposals[0]
        start, end = session.span(index)
        recording = str(session.unlabelled.windows.table["recording"].iloc[index])
        window = {
            "index": index,
            "recording": recording,
            "start": start,
            "end": end,
            "signal": self._signal(session.members(index), _CONTEXT),
            "media": self._media_of(recording, index),
            "examples": [
                {"activity": example.activity, "signal": self._signal([example.index], 0.0)}
                for example in session.examples(index, _EXAMPLES)
            ],
            "belief": session.believed(index) if believes else {},
        }
        return {**facts, "window": window}

    def _signal(self, windows: Sequence[int] | NDArray[np.int64], context: float) -> dict[str, Any]:
        """Return successive windows as lines: their length in seconds, times, and values by unit and channel."""
        unlabelled = self._session.unlabelled
        first, last = int(windows[0]), int(windows[-1])
        seconds, samples = unlabelled.around(first, last, context)
        panels: dict[str, dict[str, list[float]]] = {}
        for channel, values in zip(unlabelled.windows.description.channels, samples.T, strict=True):
            panels.setdefault(channel.unit, {})[channel.name] = np.round(values.astype(float), 4).tolist()
        start, end = unlabelled.seconds(first, last)
        return {"length": end - start, "seconds": np.round(seconds, 4).tolist(), "panels": panels}

    def _medium(self, name: str) -> Path | None:
        """Return the video or photo with a name; none outside the folder."""
        return None if self._media is None else _media_in(self._media).get(name)

    def _media_of(self, recording: str, index: int) -> dict[str, Any] | None:
        """Return the video or photo of a recording; of photos with a time, the nearest to the middle of a window."""
        if self._media is None:
            return None
        start, end = self._session.span(index)
        begin = min(one.start for one in self._session.unlabelled.parts if one.recording == recording)
        found = _media_in(self._media)
        taken = {_seconds(name): name for name in found if name.startswith(f"{recording}/")}
        taken = {time: name for time, name in taken.items() if np.isfinite(time)}
        nearest = min(taken, key=lambda time: abs(time - (start + end) / 2), default=None)
        name = recording if nearest is None else taken[nearest]
        if name not in found:
            return None
        is_video = found[name].suffix.lower() in _VIDEOS
        return {"name": name, "video": is_video, "start": start - begin, "end": end - begin, "taken": nearest}

    def _outlook(self) -> dict[str, Any]:
        session = self._session
        with self._lock:
            (_, labelled), answered = session.labelled(), len(session.answers())
        if len(np.unique(labelled.people.astype(str))) < 2:
            return {"text": "Label windows of two recordings to see how well others are recognised.", "curve": []}
        curve = learning_curve(labelled, session.head, session.settings.seed)
        last = curve.iloc[-1]
        known = f"macro-F1 on other recordings {100 * last['macro_f1']:.0f} %"
        interval = f"({100 * last['low']:.0f} to {100 * last['high']:.0f})"
        # An answer to a stretch labels all of its windows, and windows are what the curve counts.
        more = round(session.settings.windows * len(labelled.classes) / answered)
        text = f"{known} {interval}. {forecast(curve, more).text}"
        return {"text": text, "curve": curve.dropna().to_dict("records")}


def _media_in(folder: Path) -> dict[str, Path]:
    """Return the videos and photos of a folder, and the photos of its folders, by name without suffix."""
    files = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in (*_VIDEOS, *_PHOTOS)}
    photos = (path for path in folder.glob("*/*") if path.suffix.lower() in _PHOTOS)
    return files | {f"{path.parent.name}/{path.stem}": path for path in photos}


def _seconds(name: str) -> float:
    """Return when a photo was taken by its name; NaN if the name says none."""
    try:
        return float(name.rpartition("/")[2])
    except ValueError:
        return float("nan")


async def _content(request: Request) -> dict[str, Any]:
    """Return the JSON of a request; pages of other sites can only send other types without being asked first."""
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "send application/json")
    content = await request.json()
    if not isinstance(content, dict):
        raise HTTPException(400, "send an object")
    return content

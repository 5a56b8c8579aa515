"""The routes of the page."""

import contextlib
import dataclasses
import importlib.resources
import json
import pathlib
import tempfile
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cryjax.audio.decode import AUDIO_SUFFIXES
from cryjax.deploy.card import INTENDED, NO_DEVICE
from cryjax.encoder import Encoder
from cryjax.errors import UserError
from cryjax.serve.explore import Explorer
from cryjax.serve.guard import Guard
from cryjax.serve.hearing import Decoders
from cryjax.serve.listen import Listener

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
BINARY, JSON = "application/octet-stream", "application/json"
MOST_JSON = 1 << 16
MOST_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """What the page allows.

    Attributes:
      max_mb: Largest upload in megabytes.
      max_minutes: Longest recording in minutes.
      most: Number of requests under way at most.
      seconds: Time that a request may take.
      workers: Processes that decode uploads.
    """

    max_mb: int = 200
    max_minutes: float = 30.0
    most: int = 64
    seconds: float = 120.0
    workers: int = 2


def make_app(
    model: Encoder,
    settings: ServeSettings,
    *,
    embeddings: pathlib.Path | None = None,
    hosts: frozenset[str] = frozenset(),
    token: str = "",
) -> Any:
    """Makes the application.

    Args:
      model: What embeds, and scores where it is a classifier.
      settings: Caps.
      embeddings: File of windows to explore; None leaves that half out.
      hosts: See `Guard`.
      token: See `Guard`.

    Returns:
      An ASGI application.
    """
    stack = contextlib.ExitStack()
    caps: Any = {"max_s": 60 * settings.max_minutes, "seconds": int(settings.seconds)}
    decoders = stack.enter_context(Decoders(model.spec, settings.workers, **caps))
    listener = Listener(model, decoders)
    explorer = None
    if embeddings is not None:
        playing = stack.enter_context(Decoders(model.spec, 1, play=True, **caps))
        explorer = Explorer(embeddings, playing)
        stack.callback(explorer.close)
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cryjax-serve-")))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with stack:
            yield

    routes = [Route(f"/{name}", _static(name)) for name in _names()]
    routes += [
        Route("/", _static("index.html")),
        Route("/api/about", _about(listener, explorer, settings)),
        Route("/api/listen", _listen(listener, folder), methods=["POST"]),
    ]
    if explorer is not None:
        routes += _exploring(explorer)
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _failed, UserError: _refused},
    )
    return Guard(
        app,
        hosts=hosts,
        token=token,
        max_bytes=settings.max_mb << 20,
        most=settings.most,
        seconds=settings.seconds,
    )


def _page() -> Any:
    return importlib.resources.files("cryjax.serve") / "page"


def _names() -> list[str]:
    return sorted(item.name for item in _page().iterdir() if item.name != "index.html")


def _static(name: str) -> Any:
    """Answers with one file of the page, by its name alone: no path of a visitor is ever used."""
    data = (_page() / name).read_bytes()
    kind = KINDS[pathlib.PurePath(name).suffix]

    async def answer(_: Request) -> Response:
        return Response(data, media_type=f"{kind}; charset=utf-8")

    return answer


async def _failed(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return JSONResponse({"error": getattr(error, "detail", str(error))}, status)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


def _about(listener: Listener, explorer: Explorer | None, settings: ServeSettings) -> Any:
    about = listener.about() | {
        "warning": f"{NO_DEVICE} {INTENDED}",
        "explore": explorer is not None,
        "max_mb": settings.max_mb,
        "max_minutes": settings.max_minutes,
        "suffixes": sorted(AUDIO_SUFFIXES),
    }

    async def answer(_: Request) -> Response:
        return JSONResponse(about)

    return answer


def _listen(listener: Listener, folder: pathlib.Path) -> Any:
    async def answer(request: Request) -> Response:
        _require_type(request, BINARY)
        named = pathlib.PurePath(unquote(request.headers.get("x-name", "")))
        suffix = named.suffix.lower()
        if suffix not in AUDIO_SUFFIXES:
            raise UserError(f"{suffix or 'a file without ending'} is not audio that is read here")
        path = folder / f"{uuid.uuid4().hex}{suffix}"
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
            return JSONResponse(await run_in_threadpool(listener.hear, path))
        finally:
            path.unlink(missing_ok=True)

    return answer


def _require_type(request: Request, kind: str) -> None:
    """A form of another page cannot send these types without asking first."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != kind:
        raise HTTPException(415, f"the content type must be {kind}")


async def _json(request: Request) -> dict[str, Any]:
    _require_type(request, JSON)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_JSON:
            raise HTTPException(413, "too large")
    try:
        values = json.loads(body)
    except ValueError:
        raise HTTPException(400, "no JSON") from None
    if not isinstance(values, dict):
        raise HTTPException(400, "no JSON object")
    return values


def _number(values: Any, name: str) -> int:
    text = str(values.get(name, ""))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UserError(f"{name} must be a number")
    return int(text)


def _exploring(explorer: Explorer) -> list[Route]:
    async def all_windows(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(explorer.map))

    async def label(request: Request) -> Response:
        values = await _json(request)
        row, text = _number(values, "row"), str(values.get("label", ""))
        return JSONResponse(await run_in_threadpool(explorer.label, row, text))

    async def ranking(request: Request) -> Response:
        asked = request.query_params
        count = min(_number(asked, "count"), MOST_ROWS)
        found = explorer.ranking(asked.get("target", ""), asked.get("by", "score"), count)
        return JSONResponse(found)

    async def like(request: Request) -> Response:
        asked = request.query_params
        count = min(_number(asked, "count"), MOST_ROWS)
        return JSONResponse(await run_in_threadpool(explorer.like, _number(asked, "row"), count))

    async def clip(request: Request) -> Response:
        row = _number(request.query_params, "row")
        return Response(await run_in_threadpool(explorer.sound, row), media_type="audio/wav")

    async def seen(request: Request) -> Response:
        row = _number(request.query_params, "row")
        return JSONResponse(await run_in_threadpool(explorer.picture, row))

    async def labels(_: Request) -> Response:
        kept = {"Content-Disposition": 'attachment; filename="labels.csv"'}
        return PlainTextResponse(explorer.export(), media_type="text/csv", headers=kept)

    return [
        Route("/api/map", all_windows),
        Route("/api/label", label, methods=["POST"]),
        Route("/api/ranking", ranking),
        Route("/api/like", like),
        Route("/api/clip", clip),
        Route("/api/picture", seen),
        Route("/api/labels.csv", labels),
    ]

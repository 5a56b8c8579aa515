"""What a request must be before the page sees it: from here, small, and not one too many."""

import asyncio
import secrets
import traceback
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

COOKIE = "cryjax_token"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; "
    "media-src 'self' blob:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=()",
}


class Guard:
    """Middleware that answers what must not come through, and ends what takes too long.

    Args:
      app: The application.
      hosts: Names in the Host header that are this page's; others are refused, so that no name
        elsewhere can be pointed here.
      token: What a visitor must know; "" where only this machine can visit.
      max_bytes: Largest body of a request.
      most: Number of requests under way at most.
      seconds: Time that a request may take.
    """

    def __init__(
        self,
        app: Any,
        *,
        hosts: frozenset[str],
        token: str,
        max_bytes: int,
        most: int,
        seconds: float,
    ):
        self._app, self._hosts, self._token = app, hosts, token
        self._max_bytes, self._most, self._seconds = max_bytes, most, seconds
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send, refusal = _with_headers(send), self._refusal(scope)
        if refusal is None and self._under_way >= self._most:
            refusal = _refuse(503, "too many requests under way; try again")
            refusal.headers["Retry-After"] = "1"
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._through(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _through(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, taken = False, 0

        async def capped() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                raise HTTPException(413, f"larger than {self._max_bytes >> 20} MB")
            return message

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        failure: Response | None = None
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, capped, sending)
        except Exception as error:  # a crash is one failed request
            failure = self._answer_to(error)
        if failure is not None and not begun:
            await failure(scope, receive, send)

    def _answer_to(self, error: Exception) -> Response:
        if isinstance(error, TimeoutError):
            return _refuse(504, f"took longer than {self._seconds:.0f} s")
        traceback.print_exception(error)
        return _refuse(500, "something went wrong here; the terminal says what")

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        host = headers.get("host", "")
        if self._hosts and host not in self._hosts:
            return _refuse(421, f"this page is not {host[:80]!r}")
        if method not in ("GET", "HEAD", "POST"):
            return _refuse(405, "only GET and POST")
        if self._token and (refusal := self._without_token(scope, headers)) is not None:
            return refusal
        if method == "POST":
            origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
            if site not in ("same-origin", "none") or (
                origin is not None and origin.partition("://")[2] != host
            ):
                return _refuse(403, "from another page")
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > self._max_bytes:
                return _refuse(413, f"larger than {self._max_bytes >> 20} MB")
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Returns None to who knows the token, which one visit with ?token= puts into a cookie."""
        kept = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        said = headers.get("authorization", "").removeprefix("Bearer ")
        if any(secrets.compare_digest(x.encode(), self._token.encode()) for x in (kept, said)):
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and secrets.compare_digest(asked.encode(), self._token.encode()):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        return _refuse(401, "open the address that the terminal shows, with its token")


def _with_headers(send: Send) -> Send:
    """Adds `HEADERS` to whatever is answered."""
    added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending


def _refuse(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status)

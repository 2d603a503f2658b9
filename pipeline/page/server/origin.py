"""Answer requests for our own host names and from our own pages only.

Without it any page that a visitor has open could call the server in the visitor's name (cross-site request forgery), or
reach a server of the local network under a name of its own (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
FOREIGN_HOST = "This server does not answer under this name. Its administrator can add it to FIBROREVIEW_HOSTS."
FOREIGN_ORIGIN = "This server does not answer pages of other sites."


class OwnOrigin:
    """ASGI middleware: 403 for a Host that is none of ours, or an Origin other than the page itself.

    Args:
        hosts: names under which the page is reached, beside loopback; lower case, without ports.
        any_host: paths that are answered under any name, for the checks of a load balancer or of a Space.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], any_host: Collection[str]) -> None:
        self.app, self.named, self.any_host = app, frozenset(hosts), frozenset(any_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in self.any_host:
            await self.app(scope, receive, send)
            return
        fault = self._fault(Headers(scope=scope))
        if fault and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif fault:
            await PlainTextResponse(fault, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _fault(self, headers: Headers) -> str | None:
        host = _netloc(headers.get("host", ""))
        if host is None or host[0] not in self.named | LOOPBACK:
            return FOREIGN_HOST
        if (origin := headers.get("origin")) is None:
            return None
        parts = urlsplit(origin) if "://" in origin else None
        source = _netloc(parts.netloc) if parts else None
        # Behind a proxy Host may be an inner name: a named host is ours as well, whatever its port.
        if source is None or (source != host and source[0] not in self.named):
            return FOREIGN_ORIGIN
        return None


def _netloc(text: str) -> tuple[str, int | None] | None:
    """Host name, lower case, and port of ``name:port``; None where it is neither."""
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.rstrip("."), port

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
    """ASGI middleware: 403 for an unknown Host, or an Origin other than the page itself.

    What a proxy says of the address (``X-Forwarded-Host``, ``-Proto``) goes no further unless it can be believed: a
    host that is in ``hosts``, and https where uvicorn trusts the proxy, as it does one on this machine and those in
    ``FORWARDED_ALLOW_IPS``.

    Args:
        hosts: names under which the page is reached, beside loopback; lower case, with a port where it is no default.
        any_host: paths that are answered under any name, for the checks of a load balancer or of a Space.
        behind_tls: whether all requests come by a proxy that speaks TLS (a Space).
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], any_host: Collection[str], behind_tls: bool = False
    ) -> None:
        self.app, self.any_host, self.behind_tls = app, frozenset(any_host), behind_tls
        self.named = frozenset(named for host in hosts if (named := _netloc(host)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = self._believed(scope)
        if scope["path"] in self.any_host:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        fault = self._fault(headers, scope["scheme"]) or self._fetch_fault(headers, scope["path"])
        if fault and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif fault:
            await PlainTextResponse(fault, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _believed(self, scope: Scope) -> Scope:
        """The request without headers of proxies that cannot be believed."""
        headers = Headers(scope=scope)
        forwarded = headers.get("x-forwarded-host")
        own_host = forwarded is not None and _netloc(forwarded) in self.named
        secure = self.behind_tls or scope["scheme"] in ("https", "wss")
        doubtful = {
            *(() if own_host else (b"x-forwarded-host",)),
            *(() if secure else (b"x-forwarded-proto",)),
            *(b"x-forwarded-server", b"x-forwarded-prefix", b"forwarded", b"x-gradio-server"),
        }
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in doubtful]
        return {**scope, "headers": kept, "scheme": "https" if secure and scope["type"] == "http" else scope["scheme"]}

    def _fault(self, headers: Headers, scheme: str) -> str | None:
        host = _netloc(headers.get("host", ""))
        if host is None or not (host[0] in LOOPBACK or self._is_named(host)):
            return FOREIGN_HOST
        if (origin := headers.get("origin")) is None:
            return None
        parts = urlsplit(origin) if "://" in origin else None
        source = _netloc(parts.netloc) if parts else None
        if parts is None or source is None or (scheme == "https" and parts.scheme != "https"):
            return FOREIGN_ORIGIN
        # Behind a proxy Host may be an inner name or lack the port; the page's own address is then a named host.
        return None if source == host or source in self.named else FOREIGN_ORIGIN

    @staticmethod
    def _fetch_fault(headers: Headers, path: str) -> str | None:
        """Requests without an origin: browsers say whether a page of another site made them.

        A link may lead here, and a Space's frame does; an image, a script or a form of another site may not, and
        another site cannot log a user out.
        """
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return None
        leads_here = headers.get("sec-fetch-mode") == "navigate" and not path.startswith("/logout")
        return None if leads_here else FOREIGN_ORIGIN

    def _is_named(self, host: tuple[str, int | None]) -> bool:
        return any(host[0] == name for name, _ in self.named)


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

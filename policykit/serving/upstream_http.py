"""An upstream over HTTP: any server that speaks OpenAI's API."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from policykit.serving.errors import UpstreamFault
from policykit.serving.upstream import Kind, UpstreamRequest, UpstreamResponse

CONNECT_S = 5.0
MAX_HEADER_BYTES = 16_384
MAX_LOGGED = 200
_LOG = logging.getLogger(__name__)


class HttpUpstream:
    """Sends requests to ``base_url`` (`http://host:port`, without `/v1`), with the deployment's own key.

    ``read_s`` is the longest silence; what a whole request may take is the profile's limit. Redirects are not followed,
    no cookies are kept, and the environment's proxies are not used: requests go where the deployment says.
    Use it on one event loop. Raises ValueError for what is no address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        kind: Kind = Kind.PLAIN,
        read_s: float = 300.0,
        max_connections: int = 1024,
    ) -> None:
        self._kind = kind
        self._base = base_url.rstrip("/")
        self._headers = {"accept-encoding": "identity"}
        self._secrets = (api_key,) if api_key else ()
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=read_s)
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    @property
    def kind(self) -> Kind:
        return self._kind

    def _opened(self) -> aiohttp.ClientSession:
        """The session, which belongs to the event loop that asks first."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=self._timeout,
                headers=self._headers,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
        return self._session

    @asynccontextmanager
    async def send(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamResponse]:
        try:
            answer = await self._opened().request(
                request.method,
                self._base + request.path,
                data=request.body or None,
                headers=dict(request.headers),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _fault(error) from error
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            yield UpstreamResponse(answer.status, headers, _pieces(answer), self._secrets)
        finally:
            answer.close()  # what was read to its end has gone back to the pool already

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """What has arrived since the last time, in one piece."""
    try:
        async for piece in answer.content.iter_any():
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _fault(error) from error


def _fault(error: Exception) -> UpstreamFault:
    """What a client is told: the message of an error may quote what the upstream sent, and names its address."""
    _LOG.warning("the upstream's answer did not arrive: %s: %r", type(error).__name__, str(error)[:MAX_LOGGED])
    why = type(error).__name__
    if isinstance(error, TimeoutError):
        return UpstreamFault("policykit_upstream_timeout", f"the upstream did not answer in time: {why}", 504)
    return UpstreamFault("policykit_upstream_unreachable", f"the upstream's answer did not arrive: {why}")

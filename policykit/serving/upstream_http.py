"""An upstream over HTTP: any server that speaks OpenAI's API."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx

from policykit.serving.errors import UpstreamFault
from policykit.serving.upstream import Kind, UpstreamRequest, UpstreamResponse

CONNECT_S = 5.0
POOL_S = 5.0


class HttpUpstream:
    """Sends requests to ``base_url`` (`http://host:port`, without `/v1`), with the deployment's own key.

    ``read_s`` is the longest silence; what a whole request may take is the profile's limit. Redirects are not followed,
    and the environment's proxies are not used: requests go where the deployment says.
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
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers={**headers, "accept-encoding": "identity"},
            timeout=httpx.Timeout(read_s, connect=CONNECT_S, pool=POOL_S),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def kind(self) -> Kind:
        return self._kind

    @asynccontextmanager
    async def send(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamResponse]:
        asked = self._client.build_request(
            request.method, request.path, content=request.body, headers=dict(request.headers)
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise _fault(error) from error
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            yield UpstreamResponse(answer.status_code, headers, _pieces(answer))
        finally:
            await answer.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise _fault(error) from error


def _fault(error: Exception) -> UpstreamFault:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return UpstreamFault("policykit_upstream_timeout", f"the upstream did not answer in time: {why}", 504)
    return UpstreamFault("policykit_upstream_unreachable", f"the upstream's answer did not arrive: {why}")

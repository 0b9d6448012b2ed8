"""The one module that imports opa-python-client (3.x) and the HTTP client below it.

Departures from `opa_client.opa_async.AsyncOpaClient`: no redirects, no cookies, no proxies from the environment, no
compressed answers, a bounded body, certificates of a file, and attempts and deadlines of our own (the client retries
500 and never 503, and its time-out is per request).
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from opa_client.opa_async import AsyncOpaClient  # pyright: ignore[reportMissingTypeStubs]

from policykit.diagnostics import PolicyError
from policykit.opa.answers import check_status, read_body
from policykit.opa.errors import Malformed, NotTrusted, OpaError, TimedOut, TooLarge, Unreachable
from policykit.opa.settings import OpaSettings

# An error inside a built-in function would otherwise be undefined, and `not` of it true.
_QUERY: Any = {"strict-builtin-errors": "true"}


class _Reply:
    """A response that was read, in the shape in which the client library uses one."""

    def __init__(self, status: int, body: bytes) -> None:
        self._status = status
        self._body = body

    def raise_for_status(self) -> None:
        check_status(self._status, self._body)

    async def json(self) -> dict[str, object]:
        return read_body(self._body)


class _Client(AsyncOpaClient):
    """The library's client with a session and a way to send of our own."""

    def __init__(self, settings: OpaSettings, trusted: ssl.SSLContext | None) -> None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        super().__init__(host=host, port=settings.port, ssl=settings.is_https)  # pyright: ignore[reportUnknownMemberType]
        self._trusted = trusted
        self._own_headers = {"Accept-Encoding": "identity"}
        if settings.token is not None:
            self._own_headers["Authorization"] = f"Bearer {settings.token}"
        self._max_bytes = settings.max_bytes
        self._opened: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = self._session = aiohttp.ClientSession(
                headers=self._own_headers,
                connector=aiohttp.TCPConnector(ssl=self._trusted if self._trusted is not None else True),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._opened

    @asynccontextmanager
    async def _request(  # pyright: ignore[reportIncompatibleMethodOverride] # the library uses no more of it
        self, method: str, url: str, **kwargs: Any
    ) -> AsyncGenerator[_Reply]:
        async with self._open().request(method, url, allow_redirects=False, **kwargs) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Malformed("OPA's answer is compressed, which nobody asked for")
            yield _Reply(response.status, await _read(response.content, self._max_bytes))


async def _read(stream: aiohttp.StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := await stream.readany():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"OPA's answer has more than {max_bytes} bytes")
    return bytes(body)


class Transport:
    """Asks OPA, within the deadline. Belongs to one event loop.

    Raises PolicyError (PK162): the file of certificates cannot be used.
    """

    def __init__(self, settings: OpaSettings) -> None:
        self._settings = settings
        self._client = _Client(settings, _trusted(settings))

    async def ask(self, reference: str, document: dict[str, object]) -> dict[str, object]:
        """OPA's answer. Raises OpaError."""
        deadline_s = self._settings.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                return await self._attempts(reference, document)
        except TimeoutError:
            raise TimedOut(f"OPA gave no answer within {deadline_s:g} s") from None

    async def _attempts(self, reference: str, document: dict[str, object]) -> dict[str, object]:
        """Asked again where that can help: a question changes nothing in OPA, so it may be asked twice."""
        attempt = 1
        while True:
            try:
                async with asyncio.timeout(self._settings.attempt_s):
                    return await self._attempt(reference, document)
            except TimeoutError:
                error: OpaError = TimedOut(f"OPA gave no answer within {self._settings.attempt_s:g} s")
            except OpaError as found:
                error = found
            if attempt >= self._settings.attempts or not error.may_retry:
                raise error from None
            await asyncio.sleep(self._settings.backoff_s * 2 ** (attempt - 1))
            attempt += 1

    async def _attempt(self, reference: str, document: dict[str, object]) -> dict[str, object]:
        path = reference.removeprefix("data.")
        try:
            return await self._client.query_rule(document, path, query_params=_QUERY)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise NotTrusted(f"OPA's certificate is not trusted: {error}") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise  # OSError's subclass: time is up, which is told above
            raise Unreachable(f"OPA cannot be reached: {str(error) or type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise Malformed(f"OPA's answer is no HTTP: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.close_connection()  # pyright: ignore[reportUnknownMemberType]


def _trusted(settings: OpaSettings) -> ssl.SSLContext | None:
    if settings.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        message = f"the certificates in `{settings.ca_file}` cannot be used: {error.strerror or error}"
        raise PolicyError.of("PK162", message, help="name a PEM file with the certificate of the authority") from error

"""One guard for all tests of a module; each test tells the peer what to say. A test that fails shows what the real
servers that run have printed last."""

from collections.abc import Generator, Iterator

import pytest

from tests.serving import real_vllm
from tests.serving.peer import Peer
from tests.serving.running import World, world


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("profiles")) as found:
        yield found


@pytest.fixture
def house(shared: World) -> World:
    """The shared guard, as if nothing had happened yet."""
    shared.peer.answer = Peer().answer
    shared.peer.requests.clear()
    shared.log.accounts.clear()
    shared.log.fails = False
    return shared


def pytest_collection_finish(session: pytest.Session) -> None:
    """What servers are forked from imports while the first tests run."""
    found = [item for item in session.items if isinstance(item, pytest.Function) and "server" in item.fixturenames]
    if any(item.get_closest_marker("vllm") for item in found) and not session.config.getoption("collectonly"):
        real_vllm.importer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"output of {server.url}", server.output[-6000:]) for server in real_vllm.RUNNING]
    return report

"""A server of the small classifier, and a browser."""

import contextlib
import functools
import shutil
import threading
import time

import pytest
import uvicorn

import cryjax
from cryjax.deploy import embed
from cryjax.serve.app import ServeSettings, make_app

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="session")
def embedded(classifier, prepared, once):
    """Embeddings of the small corpus's recordings."""

    def fill(folder):
        options = [f"--out={folder / 'e.parquet'}", "--workers=1"]
        assert embed.main([str(classifier), str(prepared.parent), *options]) == 0

    return once("embedded", fill) / "e.parquet"


@contextlib.contextmanager
def serving(classifier, **options):
    """Runs a server in a thread; yields its address."""
    settings = ServeSettings(**options.pop("settings", {}))
    app = make_app(cryjax.load(classifier), settings, **options)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="session")
def serve(classifier):
    """Makes a server of the classifier."""
    return functools.partial(serving, classifier)


@pytest.fixture(scope="session")
def address(serve, embedded):
    """Address of a server that also has windows to explore."""
    with serve(embeddings=embedded) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield found
        found.close()

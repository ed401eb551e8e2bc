"""A server in the place of the Hugging Face hub."""

import pytest


@pytest.fixture
def hub(server, places, monkeypatch):
    """A server in the place of the hub, and a user without a token or a cache."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(places / "hf"))
    return server

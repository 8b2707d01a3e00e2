"""Fixtures of the captions' tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import chat_server
import tiny_qwen


@pytest.fixture(scope="session")
def random_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Qwen2.5-VL with random weights: it babbles."""
    processor = tiny_qwen.make_processor()
    return tiny_qwen.save(tmp_path_factory.mktemp("random_qwen"), tiny_qwen.make_model(processor), processor)


@pytest.fixture(scope="session")
def random_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a tiny Qwen3-VL."""
    return tiny_qwen.save(tmp_path_factory.mktemp("random_qwen3"), *tiny_qwen.make_qwen3())


@pytest.fixture(scope="session")
def taught_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Qwen2.5-VL that was taught one valid answer."""
    processor = tiny_qwen.make_processor()
    model = tiny_qwen.make_model(processor)
    tiny_qwen.teach(model, processor, frames=2, size=64)
    return tiny_qwen.save(tmp_path_factory.mktemp("taught_qwen"), model, processor)


@pytest.fixture
def server():
    """A loopback server that speaks OpenAI's chat API and misbehaves on demand."""
    with chat_server.ChatServer() as running:
        yield running

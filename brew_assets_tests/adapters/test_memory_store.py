"""The tests' own store keeps the promises of a store."""

import pytest

from brew_assets_tests.adapters.store_contract import StoreContract
from brew_assets_tests.fakes import MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

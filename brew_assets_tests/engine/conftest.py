"""A transfer over fakes; the same examples on every machine and every run."""

import pytest
from hypothesis import settings

from brew_assets_tests.engine.carrying import Carrying

settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.load_profile("suite")


@pytest.fixture
def world() -> Carrying:
    return Carrying()

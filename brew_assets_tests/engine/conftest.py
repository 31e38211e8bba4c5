"""A transfer over fakes."""

import pytest

from brew_assets_tests.engine.carrying import Carrying


@pytest.fixture
def world() -> Carrying:
    return Carrying()

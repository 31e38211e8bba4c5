"""What holds for all tests."""

import pytest


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """`make test ARGS="-k …"` goes through all parts; one in which nothing has that name has not failed."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("keyword"):
        session.exitstatus = pytest.ExitCode.OK

"""What holds for all tests."""

import os

import pytest

# A make below another one that runs the tests would say where it goes, among what it prints.
for _name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(_name, None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """`make test ARGS="-k …"` goes through all parts; one in which nothing has that name has not failed."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("keyword"):
        session.exitstatus = pytest.ExitCode.OK

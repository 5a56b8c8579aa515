import pytest


@pytest.fixture(scope="session")
def judged(judged_by):
    """Workdir of an evaluation that kept a linear classifier."""
    return judged_by("linear")

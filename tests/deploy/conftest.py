import pytest


@pytest.fixture(scope="session")
def judged(judged_by):
    """Workdir of an evaluation that kept a linear classifier."""
    return judged_by("linear")


@pytest.fixture(scope="session")
def sources(prepared):
    """The recordings of the small corpus."""
    return prepared.parent

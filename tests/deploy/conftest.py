import functools

import pytest

from configs import transfer
from cryjax.tasks import transfer as transfer_task


@pytest.fixture(scope="session")
def judged_by(smoke, trained, tmp_path_factory):
    """Workdir of an evaluation by one mode, which kept its classifier."""

    @functools.cache
    def run(mode):
        workdir = tmp_path_factory.mktemp("judged")
        settings = smoke(transfer, checkpoint=str(trained), modes=mode, seeds=1)
        transfer_task.run(settings, workdir)
        return workdir

    return run


@pytest.fixture(scope="session")
def judged(judged_by):
    """Workdir of an evaluation that kept a linear classifier."""
    return judged_by("linear")


@pytest.fixture(scope="session")
def classifier(judged):
    """Folder of a linear classifier."""
    return judged / "best" / "linear-seed0"

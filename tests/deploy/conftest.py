import pytest

from configs import transfer
from cryjax.tasks import transfer as transfer_task


@pytest.fixture(scope="session")
def judged(smoke, trained, tmp_path_factory):
    """Workdir of an evaluation that kept classifiers."""
    workdir = tmp_path_factory.mktemp("judged")
    settings = smoke(transfer, checkpoint=str(trained), modes="linear,finetune", seeds=1)
    transfer_task.run(settings, workdir)
    return workdir


@pytest.fixture(scope="session")
def classifier(judged):
    """Folder of a linear classifier."""
    return judged / "best" / "linear-seed0"

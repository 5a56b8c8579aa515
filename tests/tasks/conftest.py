import pytest

from configs import transfer
from cryjax.tasks import transfer as transfer_task


@pytest.fixture(scope="session")
def judged(smoke, trained, tmp_path_factory):
    """A judged run: its workdir and config."""
    workdir = tmp_path_factory.mktemp("judged")
    config = smoke(
        transfer,
        checkpoint=str(trained),
        seeds=2,
        modes="majority,knn,random_knn,linear,linear_bn,finetune",
    )
    transfer_task.run(config, workdir)
    return workdir, config

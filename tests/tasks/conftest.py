import pytest

from configs import simclr
from cryjax.tasks import pretrain


@pytest.fixture(scope="session")
def trained(smoke, tmp_path_factory):
    """A pre-training run of four steps."""
    workdir = tmp_path_factory.mktemp("run")
    pretrain.run(smoke(simclr), workdir)
    return workdir

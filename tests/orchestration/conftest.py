"""One small run of the built-in sample, shared by the tests that look at its artifacts."""

import pytest

from assets.workspace import Workspace
from tests.orchestration.running import FinishedRun, environment_of, small_config, synpref


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> FinishedRun:
    home = tmp_path_factory.mktemp("home")
    config = small_config(home)
    environment = environment_of(home)
    done = synpref("run", "--config", str(config), environment=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return FinishedRun(Workspace(config, home), done.stdout, environment)

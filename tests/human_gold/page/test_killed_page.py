"""The annotation page under SIGKILL: what it acknowledged is kept, once, whenever it dies."""

import os
import threading

import pytest

from assets.human_gold.desk.database import open_database
from assets.workspace import Workspace
from benchmarks.annotation_load import account, page_config
from benchmarks.annotators import Annotator, PageProcess, fill_desk, make_people

pytestmark = pytest.mark.faults

NUM_KILLS = 5
ANSWERS_BETWEEN_KILLS = 40


@pytest.mark.parametrize("think_s", [0.0, 0.05], ids=["writing all the time", "with pauses"])
def test_no_acknowledged_answer_is_lost_or_doubled(tmp_path, think_s):
    config = page_config(tmp_path)
    engine = open_database(Workspace(config, tmp_path / "home").annotation_url)
    fill_desk(engine, num_pairs=2_000, votes_per_pair=2, num_chars=600)
    page = PageProcess(config, os.environ | {"SYNPREF_HOME": str(tmp_path / "home")})
    page.start()
    stop = threading.Event()
    people = [
        Annotator(page.address, name, password, think_s, stop)
        for name, password in make_people(engine, [f"person {n}" for n in range(4)]).items()
    ]
    threads = [threading.Thread(target=person.work) for person in people]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, NUM_KILLS + 1):
            while sum(len(p.acknowledged) for p in people) < number * ANSWERS_BETWEEN_KILLS:
                assert any(thread.is_alive() for thread in threads), [p.error for p in people]
                stop.wait(0.01)
            page.kill()
            page.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        page.kill()
    assert [p.error for p in people] == [None] * len(people)
    found = account(engine, people)
    engine.dispose()
    assert found["acknowledged"] >= NUM_KILLS * ANSWERS_BETWEEN_KILLS
    assert (found["lost"], found["doubled"]) == (0, 0), found
    # An answer whose acknowledgement a kill swallowed is sent again, and stored once.
    assert found["sent_again"] > 0

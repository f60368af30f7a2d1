"""Evidence of recorded judges: the verdict that a source's label was made from is never among it."""

import json

import pyarrow.parquet as pq
import pytest

from assets.llm_annotated.judges import RecordedJudge
from assets.raw_pairs.catalogue import load_catalogue
from assets.raw_pairs.recorded import share_votes
from assets.raw_pairs.rows import ParsedPair
from assets.settings import REPOSITORY
from assets.workspace import Workspace, data_folder


@pytest.mark.real_data
@pytest.mark.skipif(not (data_folder() / "pool").exists(), reason="the shared data folder is not there")
@pytest.mark.parametrize("name", ["alpaca_eval", "cherry_llm_reviews", "ukpconvarg1", "simpeval"])
def test_the_label_s_own_verdict_is_replayed_by_nobody(name):
    workspace = Workspace(REPOSITORY / "configs" / "real.yaml")
    entry = next(e for e in load_catalogue(workspace.catalogue_path, workspace) if e.name == name)
    batches = pq.ParquetFile(data_folder() / "pool" / f"{name}.parquet").iter_batches(
        1_000, columns=["preferred", "label_origin", "meta"]
    )
    num_judged = 0
    for row in (row for batch in batches for row in batch.to_pylist()):
        pair = ParsedPair((), "", "", row["preferred"], label_origin=row["label_origin"])
        votes = share_votes(entry, row, pair)
        assert votes.made_by is not None
        assert votes.verdict == votes.made_by.verdict or name == "alpaca_eval"
        given = [(v.position, v.labeller) for v in (*votes.people, *votes.judges)]
        assert votes.made_by.position not in [position for position, _ in given]
        if entry.votes.use == "other_judges":
            assert json.loads(row["meta"])["judge"] not in [labeller for _, labeller in given]
        assert len(given) == len(set(given))
        num_judged += bool(votes.judges)
    assert num_judged > 0


def test_a_person_s_vote_is_no_judge_s(recorded_of):
    table = recorded_of(("p", "ann", 0, 0, "1", "person"), ("p", "gpt", 1, 1, "2"), ("q", "ann", 0, 0, "1", "person"))
    judge = RecordedJudge("all", table)
    assert judge.records == {"p": [(1, "2")]}
    assert judge.pair_ids == {"p"}

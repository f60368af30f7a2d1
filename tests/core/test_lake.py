"""The lake: what readers see while a partition is written, killed, damaged or wanted by two."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.contracts import from_rows
from assets.errors import ContractError, MissingUpstreamError, PartitionBusyError, SynprefError
from assets.lake import Lake, check_slug
from assets.settings import REPOSITORY

HERE = Path(__file__).parent
PARTITION = {"source": "s"}
EVENTS = {"kind": "person", "batch": "round_0"}
CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


def letters(*rows):
    return from_rows(
        [{"source": "s", "file": "f", "source_row": n, "reason": "r", "detail": "", "row_hash": str(n)} for n in rows],
        "dead_letters",
    )


def events(*names, created_at=CREATED_AT):
    common = {"labeller_kind": "person", "labeller": "ada", "labeller_version": "1", "simulated": True}
    common |= {"verdict": "1", "round": "round_0", "created_at": created_at, "evidence": "{}"}
    return from_rows([{**common, "event_id": n, "pair_id": f"pair of {n}"} for n in names], "label_events")


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def kill_everywhere(task, base, out):
    """Lakes in which the task was killed before each of its file operations, and last the one it finished."""
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, HERE / "killed_runs.py", task, base, out],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Lake(root) for root in sorted(out.iterdir(), key=lambda path: int(path.name))]


def test_a_killed_publish_leaves_the_old_version_or_the_new_one(lake, tmp_path):
    lake.publish("dead_letters", letters(1, 2), PARTITION)
    killed = kill_everywhere("publish", lake.root, tmp_path / "killed")
    assert len(killed) > 5
    seen = []
    for each in killed:
        manifest = each.manifest("dead_letters", PARTITION)
        each.verify(manifest)
        rows = each.read("dead_letters", source="s")["source_row"].to_pylist()
        assert rows in ([1, 2], [3, 4, 5])
        seen.append(len(rows))
        # Running the same again finishes the work and leaves nothing lying about.
        again = each.publish("dead_letters", letters(3, 4, 5), PARTITION)
        folder = each.folder("dead_letters", PARTITION)
        assert {p.name for p in folder.iterdir()} == {".lock", "manifest.json", again.file}
    assert seen == sorted(seen)
    assert {2, 3} == set(seen)


def test_a_killed_append_loses_no_event_and_doubles_none(lake, tmp_path):
    lake.append_events("label_events", events("a"), EVENTS)
    calm = Lake(tmp_path / "calm")
    for batch in (events("a"), events("b", "c")):
        expected = calm.append_events("label_events", batch, EVENTS)
    for each in kill_everywhere("append", lake.root, tmp_path / "killed"):
        assert each.read("label_events")["event_id"].to_pylist() in (["a"], ["a", "b", "c"])
        assert each.append_events("label_events", events("b", "c"), EVENTS).content_hash == expected.content_hash


def test_an_error_inside_a_writer_publishes_nothing(lake):
    before = lake.publish("dead_letters", letters(1), PARTITION)

    def fail_half_way():
        with lake.writer("dead_letters", PARTITION) as writer:
            writer.write(letters(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert lake.manifest("dead_letters", PARTITION) == before
    assert not list(lake.folder("dead_letters", PARTITION).glob(".*.tmp"))


def test_a_table_that_breaks_its_contract_changes_nothing(lake):
    before = lake.publish("dead_letters", letters(1), PARTITION)
    with pytest.raises(ContractError):
        lake.publish("dead_letters", letters(2).drop_columns(["reason"]), PARTITION)
    assert lake.manifest("dead_letters", PARTITION) == before


def test_events_delivered_twice_count_once_and_keep_their_sequence(lake):
    lake.append_events("label_events", events("a", "b"), EVENTS)
    # Repeated after a crash, later by the clock, in another order, twice in one batch.
    late = datetime(2026, 1, 1, tzinfo=UTC)
    lake.append_events("label_events", events("b", "c", "a", "c", created_at=late), EVENTS)
    found = lake.read("label_events")
    assert found["event_id"].to_pylist() == ["a", "b", "c"]
    assert found["seq"].to_pylist() == [0, 1, 2]
    assert found["created_at"].to_pylist() == [CREATED_AT, CREATED_AT, late]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=5))
@settings(max_examples=15)
def test_deliveries_add_each_event_once(tmp_path_factory, batches):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    for batch in batches:
        lake.append_events("label_events", events(*batch), EVENTS)
    expected = list(dict.fromkeys(name for batch in batches for name in batch))
    found = lake.read("label_events")
    assert found["event_id"].to_pylist() == expected
    assert found["seq"].to_pylist() == list(range(len(expected)))


WRITES = {
    "publish": lambda lake: lake.publish("label_events", events("b"), EVENTS),
    "append": lambda lake: lake.append_events("label_events", events("b"), EVENTS),
    "writer": lambda lake: lake.writer("label_events", EVENTS).__enter__(),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_partition_being_written_refuses_a_second_writer(lake, write):
    lake.append_events("label_events", events("a"), EVENTS)
    other = Lake(lake.root)
    with lake.lock("label_events", EVENTS), pytest.raises(PartitionBusyError, match="Another process is writing"):
        WRITES[write](other)
    assert other.read("label_events")["event_id"].to_pylist() == ["a"]
    other.append_events("label_events", events("b"), EVENTS)
    assert other.read("label_events")["event_id"].to_pylist() == ["a", "b"]


def test_one_partition_does_not_block_another(lake):
    with lake.lock("dead_letters", {"source": "other"}):
        lake.publish("dead_letters", letters(1), PARTITION)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=4))
@settings(max_examples=10)
def test_the_content_hash_does_not_depend_on_batches(tmp_path_factory, sizes):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    whole = letters(*range(sum(sizes)))
    expected = lake.publish("dead_letters", whole, PARTITION)
    with lake.writer("dead_letters", PARTITION) as writer:
        start = 0
        for size in sizes:
            writer.write(whole.slice(start, size))
            start += size
    assert writer.manifest.content_hash == expected.content_hash
    assert writer.manifest.num_rows == expected.num_rows
    other = lake.publish("dead_letters", letters(*range(1, sum(sizes) + 1)), PARTITION)
    assert other.content_hash != expected.content_hash


def test_volatile_columns_leave_the_content_hash_alone(lake):
    first = lake.publish("label_events", events("a"), EVENTS)
    later = lake.publish("label_events", events("a", created_at=datetime(2026, 1, 1, tzinfo=UTC)), EVENTS)
    assert first.content_hash == later.content_hash
    assert first.file_sha256 != later.file_sha256


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_file_is_named(lake, damage):
    manifest = lake.publish("dead_letters", letters(*range(100)), PARTITION)
    path = lake.file_of(manifest)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-10])
    else:
        path.unlink()
    with pytest.raises(SynprefError, match="missing or damaged") as caught:
        lake.verify(manifest)
    assert path.name in str(caught.value)
    if damage != "flipped":
        with pytest.raises(SynprefError, match="cannot be read"):
            lake.read("dead_letters", source="s")


def test_a_manifest_that_cannot_be_read_is_named(lake):
    lake.publish("dead_letters", letters(1), PARTITION)
    path = lake.folder("dead_letters", PARTITION) / "manifest.json"
    path.write_text(json.dumps({"table": "dead_letters"})[:-3])
    with pytest.raises(SynprefError, match=r"manifest\.json"):
        lake.manifests("dead_letters")


def test_a_missing_table_says_what_to_do_and_reads_as_empty(lake):
    with pytest.raises(MissingUpstreamError, match="read the source first"):
        lake.require("pairs", todo="read the source first", source="s")
    assert len(lake.read("pairs")) == 0
    (empty,) = lake.readable_files("pairs")
    assert empty.exists()


@pytest.mark.parametrize("partition", [None, {}, {"batch": "x"}, {"source": "s", "batch": "x"}])
def test_a_partition_must_have_exactly_the_levels_of_its_contract(lake, partition):
    with pytest.raises(ContractError):
        lake.publish("dead_letters", letters(1), partition)


@pytest.mark.parametrize("value", ["", "../x", "a/b", "/etc", ".hidden", "a..b", "a b", "x" * 101, "a\n", "'; drop"])
def test_a_partition_value_that_is_no_slug_is_refused(lake, value):
    with pytest.raises(SynprefError, match="cannot name"):
        lake.publish("dead_letters", letters(1), {"source": value})
    with pytest.raises(SynprefError):
        check_slug(value)


def test_a_lake_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SynprefError, match="SYNPREF_HOME"):
        Lake(tmp_path / "file" / "lake").publish("dead_letters", letters(1), PARTITION)

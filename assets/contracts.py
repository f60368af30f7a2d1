"""Contracts: the Arrow schema, key and sort order of every table in the lake.

A table is accepted as its contract says or not at all: an unknown column, a missing one or another type is
an error. Values are checked at the boundaries by Great Expectations, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from assets.errors import ContractError

SCHEMA_VERSION = 1

VERDICTS = ("1", "2", "tie", "undecided")
LABELLER_KINDS = ("source", "person", "adjudicator", "judge")
LABEL_ORIGINS = ("human", "llm", "verifiable", "model_strength")
SPLITS = ("train", "dev", "holdout")
PROVENANCES = ("gold", "silver", "kept", "kept_by_judges", "flipped")
DECISIONS = (
    "kept",
    "kept_by_judges",
    "flipped",
    "discarded",
    "ambiguous",
    "not_afforded",
    "no_judge",
    "no_source_label",
)
TASK_CATEGORIES = (
    "information seeking",
    "coding & debugging",
    "advice seeking",
    "math",
    "creative writing",
    "reasoning",
    "planning",
    "data analysis",
    "editing",
    "role playing",
    "brainstorming",
    "other",
)
OBJECTIVITY = ("objective", "subjective")
CONTROVERSIALITY = ("low", "medium", "high")

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class Contract:
    """Shape of one table.

    Attributes:
        name: the table's folder in the lake.
        columns: column names and Arrow types, in order.
        key: columns that together identify a row within a partition.
        partition_by: folder levels under the table, in order; they are not columns of the file.
        volatile: columns left out of the content hash.
    """

    name: str
    columns: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    volatile: tuple[str, ...] = field(default=())

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the table's files."""
        return pa.schema(list(self.columns))


_S, _I64, _I32, _I8 = pa.string(), pa.int64(), pa.int32(), pa.int8()
_F64, _F32, _B = pa.float64(), pa.float32(), pa.bool_()

_ALL = (
    Contract(
        "pairs",
        (
            ("pair_id", _S),
            ("prompt_id", _S),
            ("prompt_cluster_id", _S),
            ("source", _S),
            ("source_row", _I64),
            ("prompt", TURNS),
            # Canonical order: response_1 is the one whose normalised text has the lower hash.
            ("response_1", _S),
            ("response_2", _S),
            ("model_1", _S),
            ("model_2", _S),
            ("licence", _S),
            ("label_origin", _S),
            ("num_chars_prompt", _I64),
            ("num_chars_1", _I64),
            ("num_chars_2", _I64),
            # Why the row can make no pair: empty_prompt, empty_response, equal_responses; null for a good one.
            ("problem", _S),
            ("meta", _S),
        ),
        key=("pair_id", "source_row"),
        partition_by=("source",),
    ),
    Contract(
        "dead_letters",
        (
            ("source", _S),
            ("file", _S),
            ("source_row", _I64),
            ("reason", _S),
            ("detail", _S),
            ("row_hash", _S),
        ),
        key=("file", "source_row", "reason"),
        partition_by=("source",),
    ),
    Contract(
        "label_events",
        (
            ("event_id", _S),
            ("pair_id", _S),
            ("labeller_kind", _S),
            ("labeller", _S),
            ("labeller_version", _S),
            ("simulated", _B),
            ("verdict", _S),
            ("strength", _S),
            ("confidence", _F64),
            ("round", _S),
            ("seq", _I64),
            ("supersedes", _S),
            ("created_at", pa.timestamp("us", tz="UTC")),
            ("evidence", _S),
        ),
        key=("event_id",),
        # `batch` is the source for source labels, else the round (or `stage_2`).
        partition_by=("kind", "batch"),
        volatile=("created_at",),
    ),
    # Verdicts that came with a source's rows and that recorded people and recorded judges replay.
    Contract(
        "recorded_verdicts",
        (
            ("pair_id", _S),
            ("source", _S),
            ("source_row", _I64),
            # "person" or "judge": who replays it. A verdict that made the source's label is never here.
            ("role", _S),
            ("labeller", _S),
            # Which response the labeller saw first, in canonical terms: 1, 2, or 0 when unknown.
            ("first_shown", _I8),
            ("position", _I32),
            ("verdict", _S),
        ),
        key=("pair_id", "source_row", "role", "labeller", "position"),
        partition_by=("source",),
    ),
    Contract(
        "judge_requests",
        (
            ("request_hash", _S),
            ("pair_id", _S),
            ("judge", _S),
            ("judge_version", _S),
            ("first_shown", _I8),
            ("vote", _I32),
            ("verdict", _S),
            ("log_probability", _F64),
            ("num_prompt_tokens", _I64),
            ("num_completion_tokens", _I64),
            ("cost_usd", _F64),
            ("status", _S),
            ("raw_reply_hash", _S),
        ),
        key=("request_hash",),
        partition_by=("batch",),
    ),
    Contract(
        "attributes",
        (
            ("pair_id", _S),
            ("writer", _S),
            ("writer_version", _S),
            ("task_category", _S),
            ("objectivity", _S),
            ("controversiality", _S),
            ("desired_attributes", _S),
            ("annotation_guideline", _S),
            ("edited_by", _S),
        ),
        key=("pair_id", "writer", "writer_version"),
        partition_by=("source",),
    ),
    Contract(
        "prompt_splits",
        (
            ("prompt_id", _S),
            ("prompt_cluster_id", _S),
            ("split", _S),
            ("assigned_seq", _I64),
            # False for a prompt whose cluster joined clusters of another split (exclusion `split_conflict`).
            ("usable", _B),
        ),
        key=("prompt_id",),
    ),
    Contract(
        "benchmark_items",
        (
            ("benchmark", _S),
            ("item_id", _S),
            ("prompt_id", _S),
            ("subset", _S),
            ("prompt", TURNS),
            ("responses", STRINGS),
            # Indices into `responses`.
            ("correct", pa.list_(pa.int32())),
        ),
        key=("benchmark", "item_id"),
        partition_by=("benchmark",),
    ),
    Contract(
        "pair_scores",
        (
            ("pair_id", _S),
            ("model_version", _S),
            ("score_1", _F64),
            ("score_2", _F64),
            ("probability_1", _F64),
            ("num_truncated_tokens", _I64),
        ),
        key=("pair_id", "model_version"),
        # `model` is the model's part in stage 2: best or gold.
        partition_by=("model", "source"),
    ),
    Contract(
        "gold_scores",
        (
            ("pair_id", _S),
            ("model_version", _S),
            ("score_1", _F64),
            ("score_2", _F64),
            ("probability_1", _F64),
            ("num_truncated_tokens", _I64),
        ),
        key=("pair_id", "model_version"),
        partition_by=("round",),
    ),
    Contract(
        "retrieved_pairs",
        (
            ("pair_id", _S),
            ("query_pair_id", _S),
            ("similarity", _F64),
            # p of the query's gold side and the k it earned; null in the seed round, which has no query.
            ("query_probability", _F64),
            ("k", _I32),
            ("reason", _S),
        ),
        key=("pair_id",),
        partition_by=("round",),
    ),
    Contract(
        "annotation_tasks",
        (
            ("task_id", _S),
            ("pair_id", _S),
            ("person", _S),
            # Which response the person sees on the left, in canonical terms: 1 or 2.
            ("left_response", _I8),
            ("reason", _S),
            ("due", _S),
        ),
        key=("task_id",),
        partition_by=("round",),
    ),
    Contract(
        "sample_truth",
        (
            ("pair_id", _S),
            # The verdict that is right by construction (or by a planted error's original label).
            ("verdict", _S),
            # What was planted on this pair: none, uniform_error, systematic_error, duplicate, role_swap, ...
            ("planted", _S),
            ("detail", _S),
        ),
        key=("pair_id", "planted", "detail"),
        partition_by=("source",),
    ),
    Contract(
        "promotions",
        (
            ("model_name", _S),
            ("candidate_version", _S),
            ("champion_version", _S),
            ("promoted", _B),
            ("reason", _S),
            ("evidence", _S),
            ("seq", _I64),
            ("created_at", pa.timestamp("us", tz="UTC")),
        ),
        key=("model_name", "seq"),
        partition_by=("model_name",),
        volatile=("created_at",),
    ),
    Contract(
        "judge_qualification",
        (
            ("judge", _S),
            ("judge_version", _S),
            ("simulated", _B),
            ("num_labels", _I64),
            ("accuracy", _F64),
            ("low", _F64),
            ("high", _F64),
            # Share of calls that chose the response shown first, minus one half.
            ("position_bias", _F64),
            ("self_consistency", _F64),
            ("usd", _F64),
            ("weight", _F64),
            ("used", _B),
            ("why", _S),
        ),
        key=("judge",),
        partition_by=("round",),
    ),
    # One row: a trained reward model. `model` is its part, such as loop-round_1, best, gold, raw-tiny, final-tiny.
    Contract(
        "trained_models",
        (
            ("model_version", _S),
            ("folder", _S),
            ("mixture_id", _S),
            ("num_train_pairs", _I64),
            ("num_dev_pairs", _I64),
            ("dev_accuracy", _F64),
            ("temperature", _F64),
            ("mlflow_run_id", _S),
            # JSON: the whole training report.
            ("report", _S),
        ),
        key=("model_version",),
        partition_by=("model",),
        volatile=("folder", "mlflow_run_id", "report"),
    ),
    # Saved scores (design, section 7), by model and benchmark.
    Contract(
        "benchmark_scores",
        (
            ("benchmark", _S),
            ("item_id", _S),
            ("response_index", _I32),
            ("score", _F64),
            ("num_truncated_tokens", _I64),
        ),
        key=("benchmark", "item_id", "response_index"),
        partition_by=("model", "benchmark"),
    ),
    # --- written by dbt ---
    Contract(
        "exclusions",
        (("pair_id", _S), ("source", _S), ("source_row", _I64), ("reason", _S), ("detail", _S)),
        key=("pair_id", "source", "source_row"),
    ),
    Contract(
        "conflicts",
        (
            ("pair_id", _S),
            ("num_labels_1", _I64),
            ("num_labels_2", _I64),
            # JSON list of {source, labeller, verdict, source_row}.
            ("evidence", _S),
        ),
        key=("pair_id",),
    ),
    Contract(
        "candidate_pool",
        (
            ("pair_id", _S),
            ("prompt_id", _S),
            ("prompt_cluster_id", _S),
            # The source whose row represents the pair.
            ("source", _S),
            ("source_row", _I64),
            ("label_origin", _S),
            # 1: human-labelled, the unverified pool; 2: everything else, the wild pool.
            ("stage", _I8),
            # "1", "2", "tie", or null where sources contradict each other or none gave a label.
            ("source_verdict", _S),
            ("conflict", _B),
            ("num_sources", _I64),
            ("num_chars_prompt", _I64),
            ("num_chars_1", _I64),
            ("num_chars_2", _I64),
        ),
        key=("pair_id",),
    ),
    Contract(
        "gold",
        (
            ("as_of_round", _S),
            ("pair_id", _S),
            ("prompt_id", _S),
            ("prompt_cluster_id", _S),
            ("split", _S),
            ("verdict", _S),
            ("confidence", _F64),
            ("num_votes", _I64),
            ("agreement", _F64),
        ),
        key=("pair_id",),
        partition_by=("as_of_round",),
    ),
    Contract(
        "silver",
        (
            ("as_of_round", _S),
            ("pair_id", _S),
            ("prompt_id", _S),
            ("prompt_cluster_id", _S),
            ("verdict", _S),
            ("confidence", _F64),
            ("num_judges", _I64),
            ("agreement", _F64),
        ),
        key=("pair_id",),
        partition_by=("as_of_round",),
    ),
    Contract(
        "judge_queue",
        (
            ("pair_id", _S),
            # 1 = asked first. Conflicts, then the pairs the best reward model is least sure of.
            ("priority", _I64),
            ("reason", _S),
            ("p_best", _F64),
            ("p_gold", _F64),
            ("afforded", _B),
        ),
        key=("pair_id",),
    ),
    Contract(
        "decisions",
        (
            ("pair_id", _S),
            ("source", _S),
            ("source_verdict", _S),
            # p of the source's chosen side (of response 1 where sources conflict), 0 to 1.
            ("p_best", _F64),
            ("p_gold", _F64),
            ("judge_verdict", _S),
            ("judge_confidence", _F64),
            ("decision", _S),
            # 1 or 2: the response the mixture takes as chosen; null where the decision takes none.
            ("chosen", _I8),
            ("reason", _S),
        ),
        key=("pair_id",),
    ),
    Contract(
        "mixtures",
        (
            ("mixture_id", _S),
            ("pair_id", _S),
            ("chosen", _I8),
            ("weight", _F64),
            ("provenance", _S),
        ),
        key=("mixture_id", "pair_id"),
        # `mixture` is the mixture's part: `kept`, or `kept_and_flipped`.
        partition_by=("mixture",),
    ),
)

TABLES: dict[str, Contract] = {contract.name: contract for contract in _ALL}


def contract_of(name: str) -> Contract:
    """The contract of a table; an unknown name is an error that lists the known ones."""
    try:
        return TABLES[name]
    except KeyError:
        raise ContractError(
            f"There is no table named {name!r}.", todo=f"use one of {', '.join(sorted(TABLES))}"
        ) from None


def conform(table: pa.Table, name: str, *, where: str = "") -> pa.Table:
    """Return the table with its contract's column order, or raise.

    Only the order of columns is changed. Nothing is cast but nulls of an empty or all-null column, which
    Arrow infers as type `null`.

    Raises:
        ContractError: a column is missing, unknown or of another type.
    """
    contract = contract_of(name)
    expected = {column: kind for column, kind in contract.columns}
    given = {f.name: f.type for f in table.schema}
    missing = [c for c in expected if c not in given]
    unknown = [c for c in given if c not in expected]
    wrong = [
        f"{c} is {given[c]}, expected {kind}"
        for c, kind in expected.items()
        if c in given and given[c] != kind and not pa.types.is_null(given[c])
    ]
    if missing or unknown or wrong:
        problems = [f"missing columns {missing}"] * bool(missing)
        problems += [f"unknown columns {unknown}"] * bool(unknown)
        problems += wrong
        raise ContractError(
            f"A table breaks the contract of {name}: {'; '.join(problems)}.",
            where=where,
            kept="the previously published version, if there was one",
            todo="write the columns that assets/contracts.py names",
        )
    return table.select(list(expected)).cast(contract.schema)


def from_rows(rows: list[dict], name: str) -> pa.Table:
    """Build a table of the named contract from plain dictionaries; absent keys become null.

    Raises:
        ContractError: a row has a key that the contract does not know, or a value of another type.
    """
    schema = contract_of(name).schema
    known = set(schema.names)
    for number, row in enumerate(rows):
        if not row.keys() <= known:
            raise ContractError(
                f"A row for {name} has unknown columns {sorted(row.keys() - known)}.", where=f"row {number}"
            )
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ContractError(f"A row for {name} has a value of the wrong type: {error}.") from error

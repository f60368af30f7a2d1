"""Tables of labels: the ledger of people and judges, gold and silver."""

import pyarrow as pa

from assets.tables.contract import BOOL, FLOAT64, INT8, INT32, INT64, STRING, Contract

LABELS = (
    Contract(
        "label_events",
        (
            ("event_id", STRING),
            ("pair_id", STRING),
            ("labeller_kind", STRING),
            ("labeller", STRING),
            ("labeller_version", STRING),
            # Row of the source that a source's label stands on; null for everyone else's events.
            ("source_row", INT64),
            # What a person was asked for: label (null means the same), repeat, known_answer. Only a label is a vote.
            ("purpose", STRING),
            ("simulated", BOOL),
            ("verdict", STRING),
            ("strength", STRING),
            ("confidence", FLOAT64),
            ("round", STRING),
            ("seq", INT64),
            ("supersedes", STRING),
            ("created_at", pa.timestamp("us", tz="UTC")),
            ("evidence", STRING),
        ),
        key=("event_id",),
        # `batch` is the source for source labels, else the round (or `stage_2`).
        partition_by=("kind", "batch"),
        volatile=("created_at",),
    ),
    Contract(
        "judge_requests",
        (
            ("request_hash", STRING),
            ("pair_id", STRING),
            ("judge", STRING),
            ("judge_version", STRING),
            ("first_shown", INT8),
            ("vote", INT32),
            ("verdict", STRING),
            ("log_probability", FLOAT64),
            # Of Candidate 1 against Candidate 2, where the judge gives log-probabilities.
            ("probability_first", FLOAT64),
            ("num_prompt_tokens", INT64),
            # Of these, taken from the server's cache.
            ("num_cached_tokens", INT64),
            ("num_completion_tokens", INT64),
            ("cost_usd", FLOAT64),
            ("status", STRING),
            ("raw_reply_hash", STRING),
            # Few-shot pairs that the prompt had to leave out; null where no prompt was made.
            ("num_examples_dropped", INT32),
        ),
        key=("request_hash",),
        partition_by=("batch",),
    ),
    Contract(
        "attributes",
        (
            ("pair_id", STRING),
            ("writer", STRING),
            ("writer_version", STRING),
            ("task_category", STRING),
            ("objectivity", STRING),
            ("controversiality", STRING),
            ("desired_attributes", STRING),
            ("annotation_guideline", STRING),
            ("edited_by", STRING),
        ),
        key=("pair_id", "writer", "writer_version"),
        partition_by=("source",),
    ),
    Contract(
        "retrieved_pairs",
        (
            ("pair_id", STRING),
            ("query_pair_id", STRING),
            ("similarity", FLOAT64),
            # p of the query's gold side and the k it earned; null in the seed round, which has no query.
            ("query_probability", FLOAT64),
            ("k", INT32),
            ("reason", STRING),
        ),
        key=("pair_id",),
        partition_by=("round",),
    ),
    Contract(
        "annotation_tasks",
        (
            ("task_id", STRING),
            ("pair_id", STRING),
            # label, repeat (comes back to who answered the pair) or known_answer
            ("purpose", STRING),
            # Null: whoever comes next at the annotation page.
            ("person", STRING),
            # Which response the person sees on the left, in canonical terms: 1 or 2; null while nobody is named.
            ("left_response", INT8),
            # Low numbers are asked first; tasks of one pair share theirs.
            ("priority", INT32),
            # Of a repeat: further answers of the person that lie between.
            ("after_num_answers", INT32),
            ("known_verdict", STRING),
            ("reason", STRING),
            ("due", STRING),
        ),
        key=("task_id",),
        partition_by=("round",),
    ),
    Contract(
        "judge_qualification",
        (
            ("judge", STRING),
            ("judge_version", STRING),
            ("simulated", BOOL),
            # Of the cascade: 0 is asked about every pair.
            ("tier", INT64),
            ("num_labels", INT64),
            ("accuracy", FLOAT64),
            ("low", FLOAT64),
            ("high", FLOAT64),
            # Share of calls that chose the response shown first, minus one half.
            ("position_bias", FLOAT64),
            # Share of sides with the longer response, minus gold's own share on the same pairs.
            ("length_bias", FLOAT64),
            ("self_consistency", FLOAT64),
            ("order_consistency", FLOAT64),
            # Expected calibration error of the share of the judge's votes.
            ("ece", FLOAT64),
            ("num_calls", INT64),
            ("usd", FLOAT64),
            ("weight", FLOAT64),
            ("used", BOOL),
            ("why", STRING),
        ),
        key=("judge",),
        partition_by=("round",),
    ),
    Contract(
        "gold",
        (
            ("as_of_round", STRING),
            ("pair_id", STRING),
            ("prompt_id", STRING),
            ("prompt_cluster_id", STRING),
            ("split", STRING),
            ("verdict", STRING),
            ("confidence", FLOAT64),
            # adjudicator, crowd_model or majority
            ("decided_by", STRING),
            ("num_votes", INT64),
            ("agreement", FLOAT64),
        ),
        key=("pair_id",),
        partition_by=("as_of_round",),
    ),
    Contract(
        "silver",
        (
            ("as_of_round", STRING),
            ("pair_id", STRING),
            ("prompt_id", STRING),
            ("prompt_cluster_id", STRING),
            ("verdict", STRING),
            ("confidence", FLOAT64),
            ("num_judges", INT64),
            ("agreement", FLOAT64),
        ),
        key=("pair_id",),
        partition_by=("as_of_round",),
    ),
)

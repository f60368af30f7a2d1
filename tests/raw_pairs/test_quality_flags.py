"""Quality flags: no threshold flags nothing, and each threshold flags what breaks it and nothing else."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from assets.contracts import contract_of
from assets.raw_pairs.quality_flags import FLAGS, flags_of
from assets.settings import QualityThresholds

CLEAN = {
    **{f"language_{text}": "en" for text in ("prompt", "1", "2")},
    **{f"num_words_{text}": 100 for text in ("prompt", "1", "2")},
    **{f"num_encoding_faults_{text}": 0 for text in ("prompt", "1", "2")},
    **{f"{rate}_{side}": 0.0 for side in ("1", "2") for rate in ("duplicate_line_rate", "top_3gram_rate")},
    **{f"{rate}_{side}": 0.0 for side in ("1", "2") for rate in ("duplicate_5gram_rate", "markdown_density")},
    **{f"refusal_{side}": False for side in ("1", "2")},
    **{f"num_{kind}": 0 for kind in ("secrets", "emails", "phones", "ibans", "cards", "ips")},
    **{f"toxicity_{side}": None for side in ("1", "2")},
    "num_presidio_entities": None,
}
STRICT = QualityThresholds(
    languages=("en", "de"),
    min_words_response=5,
    max_words_response=1_000,
    max_duplicate_line_rate=0.2,
    max_top_3gram_rate=0.18,
    max_duplicate_5gram_rate=0.15,
    refusals="either",
    max_markdown_density=20,
    max_encoding_faults=0,
    max_secrets=0,
    max_pii=1,
    max_presidio_entities=3,
    max_toxicity=0.5,
)


def flags(thresholds, *rows):
    fields = [f for f in contract_of("quality_signals").schema if f.name in CLEAN]
    table = pa.Table.from_pylist([CLEAN | row for row in rows], schema=pa.schema(fields))
    return flags_of(table, thresholds).to_pylist()


BREAKING = [
    ("language", {"language_2": "fr"}),
    ("language", {"language_prompt": "fr"}),
    ("few_words", {"num_words_1": 4}),
    ("many_words", {"num_words_2": 1_001}),
    ("duplicate_lines", {"duplicate_line_rate_1": 0.21}),
    ("top_3gram", {"top_3gram_rate_2": 0.19}),
    ("duplicate_5grams", {"duplicate_5gram_rate_1": 0.16}),
    ("refusal", {"refusal_2": True}),
    ("markdown", {"markdown_density_1": 20.5}),
    ("encoding_damage", {"num_encoding_faults_prompt": 1}),
    ("secrets", {"num_secrets": 1}),
    ("pii", {"num_emails": 1, "num_ips": 1}),
    ("presidio_entities", {"num_presidio_entities": 4}),
    ("toxicity", {"toxicity_1": None, "toxicity_2": 0.6}),
]
HOLDING = [
    {"language_1": "unknown", "language_2": "de"},
    {"num_words_1": 5, "num_words_2": 1_000, "num_words_prompt": 0},
    {"duplicate_line_rate_1": 0.2, "top_3gram_rate_1": 0.18, "duplicate_5gram_rate_2": 0.15},
    {"num_emails": 1, "num_presidio_entities": 3, "toxicity_1": 0.5},
]


@pytest.mark.parametrize(("flag", "row"), BREAKING)
def test_each_threshold_flags_what_breaks_it(flag, row):
    assert flags(STRICT, {}, row) == [[], [flag]]


@pytest.mark.parametrize("row", HOLDING)
def test_a_value_at_its_threshold_is_not_flagged(row):
    assert flags(STRICT, row) == [[]]


def test_every_flag_has_a_case():
    assert {flag for flag, _ in BREAKING} == set(FLAGS)


def test_nothing_is_flagged_by_default():
    assert flags(QualityThresholds(), *(row for _, row in BREAKING)) == [[]] * len(BREAKING)


def test_flags_of_a_row_stand_in_the_order_of_the_list():
    everything = {name: value for _, row in BREAKING for name, value in row.items()}
    assert flags(STRICT, everything) == [list(FLAGS)]


def test_refusals_of_both_sides_alone():
    both = QualityThresholds(refusals="both")
    assert flags(both, {"refusal_1": True}, {"refusal_1": True, "refusal_2": True}) == [[], ["refusal"]]


def test_no_rows_no_flags():
    assert flags(STRICT) == []


@pytest.mark.parametrize("wrong", [{"max_top_3gram_rate": 1.5}, {"max_pii": -1}, {"max_secret": 0}])
def test_a_wrong_threshold_is_refused(wrong):
    with pytest.raises(ValidationError):
        QualityThresholds(**wrong)

"""How a label event is told."""

import json

from assets.filtered_mixture.why_labels import told_event

EVENT = {
    "labeller_kind": "person",
    "labeller": "ada",
    "batch": "round_0",
    "simulated": False,
    "source_row": None,
    "verdict": "1",
    "strength": "clearly",
    "confidence": None,
    "purpose": "label",
    "supersedes": None,
    "evidence": "{}",
}


def told(evidence=None, **more):
    return told_event(EVENT | {"evidence": json.dumps(evidence or {})} | more)


def test_a_persons_answer_is_told_with_side_time_guideline_and_edits():
    line = told(
        {
            "task_id": "t1",
            "left_response": 2,
            "shown_verdict": "right",
            "guideline_version": "math 1",
            "active_seconds": 31.5,
            "reasons": ["correctness", "clarity"],
            "comment": "The second adds wrongly.\n\x1b[31m",
            "edited_attributes": {"objectivity": {"from": "subjective", "to": "objective"}},
        }
    )
    assert line.startswith("person ada, round_0: 1, clearly [saw response 2 on the left, said right; took 31.5 s; ")
    assert (
        "guideline math 1; because of correctness, clarity; edited objectivity from 'subjective' to 'objective'" in line
    )
    assert "\x1b" not in line
    assert "\n" not in line


def test_what_is_no_vote_and_what_corrects_says_so():
    assert ": 1, clearly, repeat: no vote" in told(purpose="repeat")
    assert ": 1, clearly, known answer: no vote" in told(purpose="known_answer")
    assert ", corrects the one before" in told(supersedes="abc")


def test_crowd_model_and_sources_are_told_as_before():
    crowd = told({"num_votes": 3}, labeller_kind="crowd_model", labeller="crowd model", strength=None, confidence=0.91)
    assert crowd == "crowd model, round_0: 1, confidence 0.91 [num_votes 3]"
    source = told(labeller_kind="source", labeller="s", batch="s", strength=None, source_row=7, purpose=None)
    assert source == "source s, s: 1 [row 7]"

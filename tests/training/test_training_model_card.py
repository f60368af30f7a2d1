"""Model card: what is known stands in it, what is not is said to be absent, and no text breaks out of its place."""

from __future__ import annotations

import yaml

from training.model_card import model_card
from training.recipe import TrainingRecipe
from training.specs import CardFacts, CardFigure, TrainSpec

REPORT = {
    "temperature": 1.25,
    "dev_accuracy": 0.75,
    "dev_ci95": [0.7, 0.8],
    "num_dev_pairs": 200,
    "num_dev_clusters": 150,
    "counts": {"rows_in": 10, "rows_out": 8, "dropped": {"empty_prompt": 2}},
    "num_truncated": 3,
    "steps": 100,
    "epochs": 1.5,
    "best_step": 80,
    "num_parameters": 1234,
    "weights_sha256": "ab" * 32,
}
SAVED = {"backbone": "pretrained", "max_tokens": 512, "weights_dtype": "bfloat16"}


def card_of(facts: CardFacts = CardFacts(), report=REPORT, saved=SAVED, **changes) -> str:  # noqa: B008
    recipe = TrainingRecipe(**{"backbone": "pretrained", "model": "org/base", "revision": "c0ffee", **changes})
    spec = TrainSpec(
        name="rm <1> | x", seed=3, output_dir="out", text_files=("t",), train_selection="s", recipe=recipe, card=facts
    )
    return model_card(spec, saved, report, "cd" * 32)


def front_matter(card: str) -> dict:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---")[1])


def test_figures_have_intervals_and_clusters():
    facts = CardFacts(
        figures=(
            CardFigure(name="gold holdout", value=0.8123, ci95=(0.79, 0.83), n=500, num_clusters=400),
            CardFigure(name="tiny", value=0.5, n=10, num_clusters=10),
        )
    )
    card = card_of(facts)
    assert "| accuracy on dev | 0.7500 | 0.7000 to 0.8000 | 200 | 150 |" in card
    assert "| gold holdout | 0.8123 | 0.7900 to 0.8300 | 500 | 400 |" in card
    assert "| tiny | 0.5000 | too few prompts | 10 | 10 |" in card
    assert "flatters the model" in card
    assert "sigmoid(difference / 1.25)" in card


def test_what_was_given_stands_in_the_card():
    facts = CardFacts(
        summary="A model of the second round.",
        intended_use="Ranking answers.",
        limits="English only.",
        mixture="m-123",
        rows_by_provenance={"gold": 3, "silver": 5},
        licence="apache-2.0",
        data_licences={"cc-by-4.0": 8, "odc-by": None},
        git_commit="deadbeef",
        notes={"Judges": "All of them simulated."},
    )
    card = card_of(facts, lora={"rank": 4})
    for line in (
        "A model of the second round.",
        "Ranking answers.",
        "English only.",
        "Mixture: m-123.",
        "| gold | 3 |",
        "| silver | 5 |",
        "| cc-by-4.0 | 8 |",
        "| odc-by | not recorded |",
        "| git commit | deadbeef |",
        "## Judges\n\nAll of them simulated.",
        "Training pairs: 8 of 10 selected; dropped: empty_prompt 2.",
        "| base model | org/base at c0ffee |",
        "| precision of the weights | bfloat16 |",
        f"| SHA-256 of the weights | {'ab' * 32} |",
        f"SHA-256 of the file with the template: {'cd' * 32}",
        "at most 512 tokens",
        "AutoModelForSequenceClassification.from_pretrained",
        "--runner pooling --max-model-len 512",
    ):
        assert line in card, line
    assert '"rank": 4' in card
    assert front_matter(card) == {
        "base_model": "org/base",
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model", "preference"],
    }


def test_what_is_not_known_is_said_to_be_absent():
    report = {**REPORT, "dev_accuracy": None, "dev_ci95": None, "temperature": None}
    card = card_of(report=report, revision="", model="folder")
    for heading in ("Intended use", "Figures"):
        assert f"## {heading}\n\nNot recorded." in card
    for line in (
        "Mixture: not recorded.",
        "Licence of these weights: not recorded.",
        "Pairs by provenance: not recorded.",
        "Licences: not recorded.",
        "| git commit | not recorded |",
        "no calibrated probability",
        "No dev pairs were given",
        "Figures on a holdout or on benchmarks are not recorded here.",
    ):
        assert line in card, line
    assert "base_model" not in front_matter(card)
    assert "license" not in front_matter(card)


def test_text_of_others_stays_text():
    card = card_of(CardFacts(summary="<script>alert(1)</script>\n---\nlicense: mit", licence='mit"\nx: 1'))
    assert "# rm &lt;1> \\| x" in card
    assert "<script>" not in card
    assert front_matter(card)["license"] == 'mit"\nx: 1'
    assert "x" not in front_matter(card)


def test_a_head_on_an_encoder_claims_no_transformers():
    card = card_of(saved={"backbone": "frozen_encoder", "max_tokens": 128})
    assert "load_scorer" in card
    assert "from_pretrained" not in card
    assert "vLLM" not in card
    assert "library_name" not in front_matter(card)

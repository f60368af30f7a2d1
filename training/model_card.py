"""Model card: a saved model's README.md, made of spec, report and what the folder holds; nothing is invented."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.durable_files import sha256_of
from training.specs import CardFacts, CardFigure, TrainSpec
from training.tokenising import MIN_PROMPT_SHARE

CARD = "README.md"
_ABSENT = "Not recorded."
# Where the template lies depends on who saved the tokenizer.
_TEMPLATES = ("chat_template.jinja", "tokenizer_config.json")


def write_card(folder: Path, spec: TrainSpec, saved: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write `README.md` into a model's folder.

    Args:
        saved: what `scorer.json` says.
        report: what `training_report.json` says.
    """
    template = next((name for name in _TEMPLATES if _has_template(folder / name)), None)
    sha = f"{sha256_of(folder / template)} ({template})" if template else ""
    (folder / CARD).write_text(model_card(spec, saved, report, sha), "utf-8")


def model_card(spec: TrainSpec, saved: Mapping[str, Any], report: Mapping[str, Any], template_sha256: str) -> str:
    """The card as Markdown; see `write_card`."""
    facts, recipe = spec.card, spec.recipe
    through_transformers = saved["backbone"] != "frozen_encoder"
    parts = [
        _front_matter(spec, through_transformers),
        f"# {_plain(spec.name)}",
        _plain(facts.summary) or "A reward model: it gives a conversation with a response one score; higher is better.",
        "## Intended use",
        _plain(facts.intended_use) or _ABSENT,
        "## Limits",
        _plain(facts.limits) or _ABSENT,
        "A score compares responses to the same prompt. Scores of different prompts, and of different models, have no "
        "common scale."
        + (
            f" sigmoid(difference / {report['temperature']:.4g}) is the probability that one response is preferred, as "
            "fitted on the dev pairs."
            if report["temperature"] is not None
            else " No temperature was fitted, so a difference is no calibrated probability."
        ),
        "## Figures",
        _figures([*_own_figures(report), *facts.figures]),
        "Dev chose the checkpoint, so accuracy on dev flatters the model."
        if report["dev_accuracy"] is not None
        else "No dev pairs were given: the weights are those of the last step.",
        "" if facts.figures else "Figures on a holdout or on benchmarks are not recorded here.",
        "## Data",
        _data(facts, report),
        "## Training",
        _table(
            ("setting", "value"),
            [
                ("base model", _base(spec)),
                ("loss", f"Bradley-Terry; {json.dumps(recipe.loss.model_dump())}"),
                ("steps, epochs", f"{report['steps']}, {report['epochs']}"),
                ("checkpoint kept", f"step {report['best_step']}"),
                ("pairs a batch", recipe.batch_pairs),
                ("learning rate", f"{recipe.learning_rate:g}, {recipe.schedule}, warm-up {recipe.warmup_share:g}"),
                ("precision of training", recipe.precision),
                ("precision of the weights", saved.get("weights_dtype", "")),
                ("LoRA", json.dumps(recipe.lora.model_dump()) if recipe.lora else "no"),
                ("seed", spec.seed),
                ("parameters", report["num_parameters"]),
                ("git commit", facts.git_commit or "not recorded"),
                ("SHA-256 of the weights", report["weights_sha256"]),
            ],
        ),
        "## How text becomes tokens",
        _tokens(saved, template_sha256),
        "## How to load",
        _loading(spec.name, saved) if through_transformers else _loading_here(),
        *(part for title, text in facts.notes.items() for part in (f"## {_plain(title)}", _plain(text))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(spec: TrainSpec, through_transformers: bool) -> str:
    fields: dict[str, Any] = {"tags": ["reward-model", "preference"]}
    if through_transformers:
        fields |= {"library_name": "transformers", "pipeline_tag": "text-classification"}
    if spec.recipe.revision:
        fields["base_model"] = spec.recipe.model
    if spec.card.licence:
        fields["license"] = spec.card.licence
    # JSON is YAML, and quotes whatever a name holds.
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in sorted(fields.items())), "---"])


def _own_figures(report: Mapping[str, Any]) -> list[CardFigure]:
    if report["dev_accuracy"] is None:
        return []
    return [
        CardFigure(
            name="accuracy on dev",
            value=report["dev_accuracy"],
            ci95=report["dev_ci95"],
            n=report["num_dev_pairs"],
            num_clusters=report["num_dev_clusters"],
        )
    ]


def _figures(figures: Sequence[CardFigure]) -> str:
    rows = [
        (
            figure.name,
            f"{figure.value:.4f}",
            f"{figure.ci95[0]:.4f} to {figure.ci95[1]:.4f}" if figure.ci95 else "too few prompts",
            figure.n,
            figure.num_clusters,
        )
        for figure in figures
    ]
    return _table(("figure", "value", "95 % interval", "items", "prompt clusters"), rows) if rows else _ABSENT


def _data(facts: CardFacts, report: Mapping[str, Any]) -> str:
    counts = report["counts"]
    dropped = ", ".join(f"{reason} {n}" for reason, n in sorted(counts["dropped"].items())) or "none"
    lines = [
        f"Training pairs: {counts['rows_out']} of {counts['rows_in']} selected; dropped: {dropped}. "
        f"Responses that were truncated, training and dev: {report['num_truncated']}.",
        f"Mixture: {_plain(facts.mixture) or 'not recorded'}.",
        f"Licence of these weights: {_plain(facts.licence) or 'not recorded'}.",
    ]
    provenance: list[Sequence[Any]] = list(facts.rows_by_provenance.items())
    lines.append(_table(("provenance", "pairs"), provenance) if provenance else "Pairs by provenance: not recorded.")
    licences = [(name, "not recorded" if n is None else n) for name, n in facts.data_licences.items()]
    lines.append(_table(("licence of the data", "pairs"), licences) if licences else "Licences: not recorded.")
    return "\n\n".join(lines)


def _base(spec: TrainSpec) -> str:
    if spec.recipe.backbone == "scratch":
        return "none; trained from nothing"
    return spec.recipe.model + (f" at {spec.recipe.revision}" if spec.recipe.revision else "")


def _tokens(saved: Mapping[str, Any], template_sha256: str) -> str:
    if saved["backbone"] == "frozen_encoder":
        return (
            f"Prompt and response are embedded apart, at most {saved['max_tokens']} tokens each; a longer prompt loses "
            "its beginning, a longer response its end."
        )
    return (
        f"The tokenizer's chat template renders the conversation with the response as the assistant's turn; no system "
        f"prompt is added. SHA-256 of the file with the template: {template_sha256 or 'not recorded'}. The score is "
        f"read at the last token of the rendered text. Trained on at most {saved['max_tokens']} tokens: a longer "
        f"conversation loses the prompt's beginning, and where the prompt is down to {MIN_PROMPT_SHARE:.0%} of "
        "these, the response's end before its closing token."
    )


def _loading(name: str, saved: Mapping[str, Any]) -> str:
    return f"""```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForSequenceClassification.from_pretrained(FOLDER, num_labels=1).eval()
conversation = [{{"role": "user", "content": "..."}}, {{"role": "assistant", "content": "..."}}]
text = tokenizer.apply_chat_template(conversation, tokenize=False)
# The template has written every special token already.
batch = tokenizer(text, return_tensors="pt", add_special_tokens=False)
with torch.no_grad():
    score = model(**batch).logits[0, 0].item()
```

With vLLM:

```
python -m vllm.entrypoints.openai.api_server --model FOLDER --runner pooling --max-model-len {saved["max_tokens"]}
```

Then `POST /classify` with the rendered text and `"add_special_tokens": false`; it answers sigmoid(score)."""


def _loading_here() -> str:
    return (
        "This is a head on a sentence encoder that is not copied into the folder. It is loaded by the project that "
        "trained it, with `training.scoring.load_scorer(FOLDER)`."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in row) + " |" for row in cells)


def _plain(text: str) -> str:
    """Text that stays within its line and cell, and is shown, not obeyed, by what renders Markdown."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _has_template(path: Path) -> bool:
    return path.exists() and (path.suffix == ".jinja" or "chat_template" in path.read_text("utf-8"))

"""Optional signals: Presidio and a toxicity model, for those who install and configure them.

Neither is loaded unless it is configured, and neither downloads anything that was not named.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from assets.errors import ConfigError

# A text is looked at in pieces of this many characters: spaCy refuses more than a million, and memory grows with it.
_PIECE_CHARS = 20_000
_BATCH_TEXTS = 32


class PresidioCounter:
    """Counts what Presidio takes for personal data: names, places and numbers, by patterns and a spaCy model.

    Args:
        model: name of an installed spaCy model, such as `en_core_web_lg`; its first two letters are the language.

    Raises:
        ConfigError: Presidio or the model is not installed. spaCy would fetch the model by itself; here it does not.
    """

    def __init__(self, model: str) -> None:
        try:
            import spacy.util
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import NlpEngineProvider
        except ImportError:
            raise ConfigError(
                f"quality.presidio_model names {model!r}, but Presidio is not installed.",
                where="quality.presidio_model",
                todo="install the extra with `pip install 'synpref[pii]'`, or leave presidio_model empty",
            ) from None
        if not spacy.util.is_package(model):
            raise ConfigError(
                f"The spaCy model {model!r} that Presidio is to use is not installed.",
                where="quality.presidio_model",
                todo=f"install it with `python -m spacy download {model}`, or leave presidio_model empty",
            )
        self._language = model[:2]
        engine = {"nlp_engine_name": "spacy", "models": [{"lang_code": self._language, "model_name": model}]}
        self._analyzer = AnalyzerEngine(
            nlp_engine=NlpEngineProvider(nlp_configuration=engine).create_engine(),
            supported_languages=[self._language],
        )

    def count(self, texts: pa.Array) -> np.ndarray:
        """Entities in each text, of any kind."""
        return np.array([sum(map(self._count_piece, _pieces(text))) for text in texts.to_pylist()], np.int64)

    def _count_piece(self, text: str) -> int:
        return len(self._analyzer.analyze(text, language=self._language))


class ToxicityModel:
    """Probability that a text is toxic, by a text classifier of Hugging Face's `transformers`.

    Args:
        model: id or folder; safetensors only, and no code of the model's own is run.
        revision: commit of the id.
        label: the label whose probability counts, such as `toxic`.

    Raises:
        ConfigError: the model cannot be loaded, or it has no such label.
    """

    def __init__(self, model: str, revision: str, label: str) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        options: dict[str, Any] = {"trust_remote_code": False, "revision": revision or None}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, **options)
            self._model = AutoModelForSequenceClassification.from_pretrained(model, use_safetensors=True, **options)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"The toxicity model {model!r} cannot be loaded: {' '.join(str(error).split())[:300]}",
                where="quality.toxicity_model",
                todo="name a folder or a Hugging Face id that this machine can reach, or leave toxicity_model empty",
            ) from error
        labels = {name.lower(): number for number, name in self._model.config.id2label.items()}
        if label.lower() not in labels:
            raise ConfigError(
                f"The toxicity model {model!r} has no label {label!r}.",
                where="quality.toxicity_label",
                todo=f"use one of {', '.join(sorted(labels))}",
            )
        self._torch, self._label = torch, labels[label.lower()]
        self._exclusive = self._model.config.problem_type != "multi_label_classification" and len(labels) > 1
        self._model.eval()

    def score(self, texts: pa.Array) -> np.ndarray:
        """Probability of the label for each text, 0 to 1, seen as far as the model's window reaches."""
        values = texts.to_pylist()
        # Texts of like length share a batch, so that little is padded.
        order = sorted(range(len(values)), key=lambda at: len(values[at]))
        scores = np.zeros(len(values))
        window = min(self._tokenizer.model_max_length, 512)
        for start in range(0, len(order), _BATCH_TEXTS):
            at = order[start : start + _BATCH_TEXTS]
            inputs = self._tokenizer(
                [values[n] for n in at], truncation=True, max_length=window, padding=True, return_tensors="pt"
            )
            with self._torch.inference_mode():
                logits = self._model(**inputs).logits.float()
            odds = logits.softmax(-1) if self._exclusive else logits.sigmoid()
            scores[at] = odds[:, self._label].numpy()
        return scores


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]

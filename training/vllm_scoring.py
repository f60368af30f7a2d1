"""vLLM scoring: a reward model computed by vLLM's pooling server, from exactly our tokens, as the same raw score.

Token ids are sent, so chat template, BOS and truncation are ours; `use_activation: false` asks for the score itself in
place of its sigmoid, in all its digits. Both are checked with every server and reply, never assumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from assets.errors import ConfigError, SynprefError
from training.data import Item
from training.scorer_facts import ScorerFacts
from training.scoring import Progress, ScoreResult, by_prompt, nobody, refused_by
from training.tokenising import EncodedRow, encode_items

# Sequences a request carries, and requests at once: enough that vLLM always has a full batch to choose from.
_PER_REQUEST, _REQUESTS = 32, 16
_TRIES = 3
# Between the sigmoid a server gives and the one of its own raw score.
_PROBE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PoolingModel:
    """Implements `assets.vllm.served_model.ServedModel` for a reward model's folder."""

    model: str
    max_context_tokens: int
    vllm_arguments: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""
    vllm_ready_s: float = 900.0


@dataclass(frozen=True)
class Address:
    """Where a pooling server answers.

    Attributes:
        url: without a path, such as http://127.0.0.1:8000.
        check: raises where the server is ours and has ended.
    """

    url: str
    api_key: str = field(default="", repr=False)
    check: Callable[[], None] = lambda: None


@contextmanager
def pooling_server(facts: ScorerFacts, folder: Path, home: Path) -> Iterator[Address]:
    """A pooling server on loopback for a model's folder as it was saved, ended with the block.

    Args:
        facts: of the folder, as `training.scorer_facts.read_facts` gives them.

    Raises:
        SynprefError: as `assets.vllm.serving.running_server`.
    """
    from assets.vllm.serving import running_server

    dtype = "bfloat16" if facts.precision.startswith("bfloat16") else "float32"
    arguments = {"runner": "pooling", "dtype": dtype}
    with running_server(PoolingModel(str(folder.resolve()), facts.max_tokens, arguments), home) as server:
        yield Address(server.base_url.removesuffix("/v1"), server.api_key, server.check)


class VllmScorer:
    """Implements `training.scoring.RewardScorer` with a pooling server.

    Rounding differs with what else the server computes at the time: scores repeat within about 1e-5 in float32 and
    1e-2 in bfloat16, not to the last bit.

    Args:
        folder: of the model that the server holds; its tokenizer is used, its weights are not loaded.
        facts: of the folder; `backend` is set here.

    Raises:
        SynprefError: the server does not answer, takes less tokens than the model, or gives no raw scores.
    """

    def __init__(self, folder: Path, facts: ScorerFacts, address: Address) -> None:
        self._address = address
        headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        # What is on this machine is not asked for through a proxy.
        self._client = httpx.Client(base_url=address.url, headers=headers, trust_env=False, timeout=600)
        self._encode = open_encoder(folder, facts)
        entry = self._get("/v1/models")["data"][0]
        self._model = entry["id"]
        longest = entry.get("max_model_len") or facts.max_tokens
        if longest < facts.max_tokens:
            raise ConfigError(
                f"The server takes at most {longest} tokens, the model is asked to read {facts.max_tokens}.",
                where=address.url,
                todo="start it with a larger --max-model-len, or lower max_tokens",
            )
        version = self._get("/version").get("version", "of unknown version")
        self.facts = replace(facts, backend=f"vllm {version}")
        self._probe()

    def score(self, items: Sequence[Item], *, progress: Progress = nobody) -> ScoreResult:
        """See `RewardScorer`."""
        return self.score_encoded(self._encode(items), progress=progress)

    def score_encoded(self, rows: Sequence[EncodedRow], *, progress: Progress = nobody) -> ScoreResult:
        """See `RewardScorer`; rows of one prompt go together, so that the server's prefix cache has it."""
        scores = np.zeros(len(rows))
        order = by_prompt(rows)
        parts = [order[at : at + _PER_REQUEST] for at in range(0, len(order), _PER_REQUEST)]
        with ThreadPoolExecutor(_REQUESTS) as pool:
            ids = ([_ids(rows[at]) for at in part] for part in parts)
            for part, found in zip(parts, pool.map(self._classify, ids), strict=True):
                scores[part] = found
                progress(len(part))
        return ScoreResult(scores, np.array([row.num_truncated for row in rows], dtype=np.int64))

    def refusals(self, items: Sequence[Item]) -> dict[int, str]:
        """See `RewardScorer`."""
        return refused_by(self._encode, items)

    def _classify(self, sequences: list[list[int]], *, use_activation: bool = False) -> list[float]:
        """One number a sequence, in order."""
        reply = self._post(
            {
                "model": self._model,
                "input": sequences,
                "add_special_tokens": False,
                "use_activation": use_activation,
            }
        )
        try:
            data, num_tokens = reply["data"], reply["usage"]["prompt_tokens"]
            order = [entry["index"] for entry in data]
            values = [value for entry in data for value in entry["probs"]]
        except (KeyError, TypeError) as error:
            raise self._failure(f"answered something that is no classification: {reply!r:.300}") from error
        if order != list(range(len(sequences))) or len(values) != len(sequences):
            raise self._failure(f"gave {len(values)} numbers for {len(sequences)} sequences")
        if num_tokens != sum(map(len, sequences)):
            raise self._failure(
                f"read {num_tokens} tokens where {sum(map(len, sequences))} were sent: it adds or cuts tokens"
            )
        return [float(value) for value in values]

    def _probe(self) -> None:
        """See that the server knows `use_activation`: one that ignores it gives sigmoids without a word."""
        [row] = self._encode([((("user", "What is water?"),), "A liquid.")])
        [raw] = self._classify([_ids(row)])
        [squashed] = self._classify([_ids(row)], use_activation=True)
        if abs(squashed - 1 / (1 + math.exp(-raw))) > _PROBE_TOLERANCE:
            raise self._failure(
                f"does not give raw scores: {raw} without and {squashed} with the sigmoid asked for",
                "use vLLM 0.32 or later, and a model with one logit",
            )

    def _get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def _post(self, body: dict[str, Any]) -> Any:
        return self._ask("POST", "/classify", body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """A reply's JSON. What a busy server may answer is asked again."""
        said = ""
        for attempt in range(_TRIES):
            time.sleep(attempt)
            self._address.check()
            try:
                reply = self._client.request(method, path, json=body)
                if reply.is_success:
                    return reply.json()
                said = f"answered {reply.status_code}: {reply.text[:300]}"
                if reply.status_code < 500 and reply.status_code != 429:
                    break
            except httpx.HTTPError as error:
                said = f"does not answer: {type(error).__name__} {error}"
            except ValueError:
                said = f"answered no JSON: {reply.text[:300]}"
                break
        self._address.check()
        raise self._failure(said)

    def _failure(self, said: str, todo: str = "") -> SynprefError:
        return SynprefError(
            f"The vLLM server {said}.",
            where=self._address.url,
            kept="the shards before",
            todo=todo or "look at the server's log, then run the same command again",
        )


def open_encoder(folder: Path, facts: ScorerFacts) -> Callable[[Sequence[Item]], list[EncodedRow]]:
    """From items to tokens as our own scorer makes them, without the weights.

    Raises:
        ConfigError: the model is no decoder.
    """
    if facts.backbone == "scratch":
        from training.byte_level import ByteLevelTokeniser

        return _Encoder(ByteLevelTokeniser.load(folder), facts.max_tokens)
    if facts.backbone != "pretrained":
        raise ConfigError(f"vLLM cannot compute the backbone {facts.backbone}.", todo="use the backend synpref")
    from transformers import AutoTokenizer

    from training.template_tokeniser import template_tokeniser

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return _Encoder(template_tokeniser(tokenizer), facts.max_tokens)


@dataclass(frozen=True)
class _Encoder:
    tokeniser: Any
    max_tokens: int

    def __call__(self, items: Sequence[Item]) -> list[EncodedRow]:
        return encode_items(items, self.tokeniser, self.max_tokens)


def _ids(row: EncodedRow) -> list[int]:
    return [*row.prompt.tolist(), *row.response.tolist()]

"""What can be set about LLM annotation: language models, judges, attributes, votes and what they may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from assets.settings_base import Count, Positive, Settings, Share, Usd

Guidance = Literal["retrieved", "random", "none"]


class LanguageModelSettings(Settings):
    """One language model and how it is reached.

    server: `endpoint`, any server with OpenAI's routes at `base_url`; `vllm_server`, a vLLM server on loopback that the
    pipeline starts and stops; `vllm_offline`, batches in the environment of `make vllm-env`, without a server.
    """

    server: Literal["endpoint", "vllm_server", "vllm_offline"] = "endpoint"
    # endpoint: the name the server knows it by. vLLM: a Hugging Face id or a folder.
    model: str
    revision: str = ""
    # endpoint only: such as http://127.0.0.1:8000/v1, and the environment variable that holds the key, if there is one.
    base_url: str = ""
    api_key_variable: str = ""
    usd_per_million_prompt_tokens: Usd = 0.0
    # Prompt tokens that the server took from its cache; None: as dear as the others.
    usd_per_million_cached_tokens: Usd | None = None
    usd_per_million_completion_tokens: Usd = 0.0
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_completion_tokens: Positive = 512
    # What the model can hold, prompt and completion together; a prompt beyond it is counted, never cut silently.
    max_context_tokens: Positive = 16_384
    # Most requests at once; fewer are sent while the server says that it is too many.
    concurrency: Positive = 64
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    # Tries of one request, the first included, before it is counted under the reason of its last failure.
    max_tries: Positive = 6
    # Further arguments of the vLLM server or of vllm.LLM, such as {max-model-len: "4096"}.
    vllm_arguments: dict[str, str] = Field(default_factory=dict)
    vllm_ready_s: Annotated[float, Field(gt=0)] = 900.0

    @model_validator(mode="after")
    def _endpoint_has_an_address(self) -> LanguageModelSettings:
        if (self.server == "endpoint") != bool(self.base_url):
            raise ValueError(f"model {self.model!r}: base_url goes with server endpoint, and only with it")
        return self


class AttributeSettings(Settings):
    """Who writes the preference attributes. `keyword_rules` needs no model and says so in `writer`."""

    provider: Literal["keyword_rules", "llm"] = "keyword_rules"
    max_pairs: Positive = 20_000
    llm: LanguageModelSettings | None = None

    @model_validator(mode="after")
    def _llm_is_named(self) -> AttributeSettings:
        if (self.provider == "llm") != (self.llm is not None):
            raise ValueError("attributes.llm goes with provider llm, and only with it")
        return self


class JudgeSettings(Settings):
    """One judge: a language model, a simulated one that states what it simulates, or a replay of recorded verdicts."""

    name: str
    provider: Literal["llm", "simulated", "recorded"]
    # Cascade: judges of tier 0 are asked about every pair, those of the next only where the panel so far is undecided.
    tier: Count = 0
    # None: as `voting.votes_per_order` says.
    votes_per_order: Positive | None = None

    # --- llm ---
    llm: LanguageModelSettings | None = None
    # Whether the model reasons in writing before its verdict.
    reasoning: bool = False
    # choice: one constrained token, with log-probabilities where the server gives them. json_schema: an object that
    # the server must keep to. text: free text that ends in the verdict, for servers that constrain nothing.
    verdict: Literal["choice", "json_schema", "text"] = "json_schema"

    # --- simulated ---
    # Probability that the judge's belief about a pair is right, when it is shown no examples.
    accuracy: Share | None = None
    # Simulated effect of guidance: share of its errors that examples correct, were all of them as near as can be.
    guidance_gain: Share = 0.0
    # Probability that a call answers with the response shown first, whatever the judge believes.
    position_bias: Share = 0.0
    # Correlation of this judge's errors with the other simulated judges'.
    error_correlation: Share = 0.0
    # Probability that a single call departs from the judge's belief.
    call_noise: Share = 0.05

    # --- recorded ---
    # Labellers of `recorded_verdicts` that this judge replays; empty means all judges' verdicts.
    labellers: tuple[str, ...] = ()

    # simulated and recorded: what each call is counted at.
    usd_per_call: Usd = 0.0

    @model_validator(mode="after")
    def _says_what_its_provider_needs(self) -> JudgeSettings:
        if self.provider == "simulated" and self.accuracy is None:
            raise ValueError(f"simulated judge {self.name!r} must state its accuracy")
        if (self.provider == "llm") != (self.llm is not None):
            raise ValueError(f"judge {self.name!r}: llm goes with provider llm, and only with it")
        if self.reasoning and self.verdict == "choice":
            raise ValueError(
                f"judge {self.name!r}: a verdict by choice leaves no room to reason; use json_schema or text"
            )
        if self.provider == "llm" and self.name.casefold().startswith("simulated"):
            raise ValueError(f"judge {self.name!r} is a language model and must not be called simulated")
        return self


class VotingSettings(Settings):
    """How judges are guided, and how votes become one verdict (method: left open by the paper, first row)."""

    votes_per_order: Positive = 3
    # Merged confidence below this is "undecided": neither silver nor training data.
    min_confidence: Annotated[float, Field(ge=0.5, le=1)] = 0.65
    # How judges weigh: `measured` from their accuracy on gold dev, `equal` for comparison.
    weights: Literal["measured", "equal"] = "measured"
    # Weights are shrunk towards this many imagined half-right labels.
    shrinkage_labels: Count = 20
    # A judge whose accuracy on gold dev is below the bar is reported and not used. 0.5 is chance.
    min_accuracy: Share = 0.55
    min_labels_to_qualify: Positive = 30
    # Scale the panel's log-odds by a temperature fitted on gold dev, so that confidence is what it says.
    calibrate: bool = True
    # Examples: the nearest gold train pairs, as many drawn by hash, or none.
    guidance: Guidance = "retrieved"
    num_examples: Count = 8
    # Pairs with a response that speaks to its judge: set aside under `suspected_injection`, or asked all the same.
    suspected_injection: Literal["quarantine", "ask"] = "quarantine"
    # A fall of accuracy between rounds larger than this, and larger than chance explains, warns.
    max_drift: Share = 0.1


class BudgetSettings(Settings):
    """What calls to judges and attribute writers may cost, US dollars; None sets no bound.

    A call that might exceed a bound is not made: its pair is counted `over_budget`.
    """

    max_usd: Usd | None = None
    max_usd_per_round: Usd | None = None

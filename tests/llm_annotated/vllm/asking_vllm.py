"""A `ChatModel` on the plain OpenAI client, and requests of every kind: what the tests of vLLM ask, and what with."""

from concurrent.futures import ThreadPoolExecutor

import openai

from assets.llm_annotated.chat import ChatReply, ChatRequest
from assets.llm_annotated.vllm.offline import request_key

CHOICES = ("1", "2", "tie")

ATTRIBUTES_SCHEMA = {
    "type": "object",
    "properties": {
        "task_category": {"type": "string", "enum": ["math", "creative writing", "information seeking", "other"]},
        "objectivity": {"type": "string", "enum": ["objective", "subjective"]},
        "controversiality": {"type": "string", "enum": ["low", "high"]},
        "desired_attributes": {"type": "string", "maxLength": 40},
        "annotation_guideline": {"type": "string", "maxLength": 40},
    },
    "required": [
        *("task_category", "objectivity", "controversiality", "desired_attributes", "annotation_guideline"),
    ],
    "additionalProperties": False,
}

GUIDELINE = "You compare two responses. Prefer what is correct, then what is helpful, then what is brief. " * 12


class DirectModel:
    """Asks the server with the OpenAI client, without ledger or budget."""

    def __init__(self, server, settings):
        self.fingerprint, self._settings = server.fingerprint, settings
        self._client = openai.OpenAI(
            base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=settings.timeout_s
        )

    def complete(self, requests, *, batch):
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            return list(pool.map(self._one, requests))

    def estimate_usd(self, requests):
        return 0.0

    def _one(self, request):
        key, more = request_key(self.fingerprint, request), {}
        if request.choices:
            more = {"extra_body": {"structured_outputs": {"choice": list(request.choices)}}}
            more |= {"logprobs": True, "top_logprobs": 20}
        if request.json_schema is not None:
            named = {"name": "reply", "schema": request.json_schema, "strict": True}
            more = {"response_format": {"type": "json_schema", "json_schema": named}}
        try:
            reply = self._client.chat.completions.create(
                model=self._settings.model,
                messages=[dict(message) for message in request.messages],
                seed=request.seed,
                temperature=self._settings.temperature,
                top_p=self._settings.top_p,
                max_completion_tokens=self._settings.max_completion_tokens,
                **more,
            )
        except openai.BadRequestError as error:
            too_long = error.param in ("input_tokens", "max_completion_tokens", "max_tokens")
            return ChatReply(key, "prompt_too_long" if too_long else "http_400")
        except openai.APITimeoutError:
            return ChatReply(key, "timeout")
        except openai.APIConnectionError:
            return ChatReply(key, "connection_failed")
        except openai.InternalServerError:
            return ChatReply(key, "server_failed")
        choice, usage = reply.choices[0], reply.usage
        first = choice.logprobs.content[0].top_logprobs if choice.logprobs else []
        return ChatReply(
            key,
            "cut_off" if choice.finish_reason == "length" else "ok",
            choice.message.content,
            {one.token: one.logprob for one in first if one.logprob > -1000},
            usage.prompt_tokens,
            usage.prompt_tokens_details.cached_tokens,
            usage.completion_tokens,
        )


def ask(text, *, seed=7, system=None, **more):
    messages = ({"role": "system", "content": system},) if system else ()
    return ChatRequest((*messages, {"role": "user", "content": text}), seed, **more)


def verdict_requests(num_pairs, *, seed=7):
    """Both orders of made-up pairs, the guideline first."""
    requests = []
    for number in range(num_pairs):
        good, bad = f"{number} plus {number} is {2 * number}.", f"I do not know what {number} plus {number} is."
        for order, (first, second) in enumerate([(good, bad), (bad, good)], start=1):
            text = f"Question: what is {number} plus {number}?\nCandidate 1: {first}\nCandidate 2: {second}\nVerdict:"
            request = ask(text, seed=seed, system=GUIDELINE, choices=CHOICES, subject=f"pair {number} order {order}")
            requests.append(request)
    return requests

"""Offline runner: answers a file of requests with vLLM, block by block; runs inside vLLM's environment.

Started with `python offline_runner.py FOLDER ARGUMENTS...`: FOLDER holds job.json (temperature, top_p,
max_completion_tokens, block) and requests.jsonl; replies are appended to replies.jsonl. Of this project it imports
nothing, because nothing of it is installed there.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

# OpenAI's limit, and vLLM's default: more candidates of a first token than a verdict has.
_NUM_LOG_PROBABILITIES = 20
# vLLM writes -9999 for a token that the grammar forbids.
_FORBIDDEN = -1000.0


def main() -> None:
    """Answer all requests; see the module."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    job = json.loads((folder / "job.json").read_text("utf-8"))
    with (folder / "requests.jsonl").open(encoding="utf-8") as file:
        requests = [json.loads(line) for line in file]
    started = time.monotonic()
    model = _load(arguments)
    loaded = time.monotonic()
    with (folder / "replies.jsonl").open("a", encoding="utf-8") as replies:
        for start in range(0, len(requests), job["block"]):
            for reply in _answers(model, requests[start : start + job["block"]], job):
                replies.write(json.dumps(reply) + "\n")
            replies.flush()
            os.fsync(replies.fileno())
    seconds = time.monotonic() - loaded
    print(f"runner: loaded in {loaded - started:.1f} s, {len(requests)} requests in {seconds:.1f} s", flush=True)


def _load(arguments: list[str]) -> Any:
    from vllm import LLM
    from vllm.engine.arg_utils import EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return LLM(**vars(EngineArgs.add_cli_args(FlexibleArgumentParser()).parse_args(arguments)))


def _answers(model: Any, requests: list[dict], job: dict) -> list[dict]:
    """One reply per request. What vLLM will not take costs itself and not its block."""
    refused, taken = [], []
    for request in requests:
        reason = _refusal(model, request)
        if reason:
            refused.append({"key": request["key"], "status": reason})
        else:
            taken.append(request)
    return refused + _chat(model, taken, job)


def _refusal(model: Any, request: dict) -> str:
    try:
        num_tokens = len(_tokens(model, request["messages"]))
    except Exception:
        # A template, which is the model's own code in Jinja, raises what it likes at messages it does not want.
        return "http_400"
    # As the server does it: a completion without room for its full length is begun, and ends as cut_off if it must.
    return "prompt_too_long" if num_tokens >= model.model_config.max_model_len else ""


def _tokens(model: Any, messages: list[dict]) -> list[int]:
    tokenizer = model.get_tokenizer()
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(text, add_special_tokens=False)


def _chat(model: Any, requests: list[dict], job: dict) -> list[dict]:
    if not requests:
        return []
    from vllm.exceptions import VLLMClientError

    try:
        parameters = [_sampling(request, job) for request in requests]
        outputs = model.chat([request["messages"] for request in requests], parameters, use_tqdm=False)
    except (VLLMClientError, ValueError, TypeError) as error:
        # vLLM refuses the whole block for one request; an engine that died raises something else.
        if len(requests) > 1:
            half = len(requests) // 2
            return _chat(model, requests[:half], job) + _chat(model, requests[half:], job)
        print(f"request {requests[0]['key']} was refused: {error}", flush=True)
        return [{"key": requests[0]["key"], "status": "http_400"}]
    return [_reply(request, output) for request, output in zip(requests, outputs, strict=True)]


def _sampling(request: dict, job: dict) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    structure = None
    if request["json_schema"] is not None:
        structure = StructuredOutputsParams(json=request["json_schema"])
    elif request["choices"]:
        structure = StructuredOutputsParams(choice=request["choices"])
    return SamplingParams(
        temperature=job["temperature"],
        top_p=job["top_p"],
        max_tokens=job["max_completion_tokens"],
        seed=request["seed"],
        logprobs=_NUM_LOG_PROBABILITIES if request["choices"] else None,
        structured_outputs=structure,
    )


def _reply(request: dict, output: Any) -> dict:
    completion = output.outputs[0]
    ends = {"stop": "ok", "length": "cut_off"}
    status = ends.get(completion.finish_reason, "server_failed")
    if status == "ok" and not completion.text.strip():
        status = "empty_reply"
    return {
        "key": request["key"],
        "status": status,
        "text": completion.text if status in ends.values() else None,
        "first_token_log_probabilities": _first_token(completion.logprobs),
        "num_prompt_tokens": len(output.prompt_token_ids),
        "num_cached_tokens": output.num_cached_tokens,
        "num_completion_tokens": len(completion.token_ids),
    }


def _first_token(log_probabilities: Any) -> dict[str, float]:
    """By the token's text; tokens that read alike count together."""
    probabilities: dict[str, float] = {}
    for candidate in (log_probabilities[0] if log_probabilities else {}).values():
        if candidate.logprob > _FORBIDDEN:
            text = candidate.decoded_token
            probabilities[text] = probabilities.get(text, 0.0) + math.exp(candidate.logprob)
    return {text: math.log(probability) for text, probability in probabilities.items() if probability > 0}


if __name__ == "__main__":
    main()

"""Out of memory: work that does not fit is repeated with half as many tokens computed at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from assets.errors import SynprefError

Result = TypeVar("Result")
# What torch's allocator on the CPU says; on a GPU there is a class for it.
_SIGNS = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory", "CUDA out of memory")


@dataclass
class TokenBudget:
    """How many tokens are computed at a time, and how often that had to be halved."""

    tokens: int
    num_halved: int = 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, on a GPU or on the CPU, was asked for and not there."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def within_memory(
    compute: Callable[[int], Result],
    budget: TokenBudget,
    longest: int,
    *,
    discard: Callable[[], None],
    log: Callable[[str], None],
    can_repeat: bool = True,
) -> Result:
    """What `compute` returns, called with the budget; where memory runs out the budget is halved, for good.

    Args:
        compute: does the work with so many tokens at a time; must be repeatable after `discard`.
        longest: tokens of the longest pair of this work; a pair is computed whole, so the budget stays above.
        discard: forgets what an interrupted call has left.
        can_repeat: `Engine.can_repeat`.

    Raises:
        SynprefError: it does not fit and cannot be made smaller.
    """
    while True:
        try:
            return compute(budget.tokens)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            said = (str(error).splitlines() or [type(error).__name__])[0]
        # Outside the handler: the error's traceback holds on to the tensors that filled the memory.
        discard()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if budget.tokens <= longest or not can_repeat:
            raise SynprefError(
                f"Memory ran out with {budget.tokens} tokens computed at a time, the longest pair having {longest}: "
                f"{said}.",
                where="recipe.micro_batch_tokens",
                kept="checkpoints written so far",
                todo="lower recipe.max_tokens, turn on activation checkpointing, or use LoRA, bfloat16_weights or ZeRO"
                if can_repeat
                else "lower recipe.micro_batch_tokens and start again: training goes on from the last checkpoint "
                "(with DeepSpeed a step that was broken off cannot be repeated)",
            )
        before = budget.tokens
        budget.tokens = max(before // 2, longest)
        budget.num_halved += 1
        log(f"out of memory: {budget.tokens} instead of {before} tokens are computed at a time from here on ({said})")

-- Narrow on purpose: no text. Prompts are read by stg_pool_prompts alone, responses by nobody.
select
    pair_id,
    prompt_id,
    prompt_cluster_id,
    source,
    source_row,
    label_origin,
    problem,
    num_chars_prompt,
    num_chars_1,
    num_chars_2
from {{ lake('pairs') }}

-- Narrow on purpose: no text.
select
    pair_id,
    prompt_id,
    source,
    source_row,
    label_origin,
    problem,
    num_chars_prompt,
    num_chars_1,
    num_chars_2
from {{ lake('pairs') }}

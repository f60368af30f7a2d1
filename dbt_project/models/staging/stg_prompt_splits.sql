select
    prompt_id,
    split,
    usable
from {{ lake('prompt_splits') }}

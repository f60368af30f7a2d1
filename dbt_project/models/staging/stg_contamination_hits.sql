select
    pair_id,
    source,
    source_row,
    benchmark,
    item_id,
    text,
    benchmark_text,
    kind,
    num_shared_ngrams,
    span
from {{ lake('contamination_hits') }}
where {{ hit_excludes() }}

{#- A label that names no row of its source would be lost without a trace. Retractions are undecided.
    The test stands at the pool that the labels are for; the rows asked are the sources' own, excluded ones included.
    Rows are compared by 64-bit hashes: that one of a million stray labels is missed has a chance of 2 in a million at
    forty million rows. -#}
{% test source_labels_belong_to_rows(model) %}
with

labels as (

    select *, hash(pair_id, source, source_row) as row_hash
    from {{ ref('stg_source_labels') }}
    where verdict <> 'undecided'

),

pairs as (

    select hash(pair_id, source, source_row) as row_hash from {{ ref('stg_pairs') }}

)

select labels.pair_id, labels.source, labels.source_row
from labels
anti join pairs using (row_hash)
{% endtest %}

{#- A label that names no row of its source would be lost without a trace. Retractions are undecided.
    The test stands at the pool that the labels are for; the rows asked are the sources' own, excluded ones included. -#}
{% test source_labels_belong_to_rows(model) %}
select labels.pair_id, labels.source, labels.source_row
from {{ ref('stg_source_labels') }} as labels
anti join {{ ref('stg_pairs') }} as pairs using (pair_id, source, source_row)
where labels.verdict <> 'undecided'
{% endtest %}

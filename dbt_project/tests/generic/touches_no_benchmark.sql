{#- No pair has a hit on a benchmark that excludes; asked of the hits themselves, whatever the model did with them. -#}
{% test touches_no_benchmark(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} in (select pair_id from {{ ref('stg_contamination_hits') }})
{% endtest %}

{%- set version = var('model_versions').get('gold') -%}

select
    pair_id,
    probability_1
from {{ lake('pair_scores_gold') }}
{% if version %}where model_version = '{{ version }}'{% endif %}

{%- set version = var('model_versions').get('best') -%}

select
    pair_id,
    probability_1
from {{ lake('pair_scores_best') }}
{% if version %}where model_version = '{{ version }}'{% endif %}

{#- Every prompt is a usable one of the train split. -#}
{% test train_prompts(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} not in (
    select prompt_id from {{ ref('stg_prompt_splits') }} where split = 'train' and usable
)
{% endtest %}

{#- Every pair's prompt is a usable one of the train split. -#}
{% test mixtures_are_of_train_prompts(model) %}
select mixtures.pair_id
from {{ model }} as mixtures
left join {{ published('candidate_pool') }} as pool using (pair_id)
left join {{ ref('stg_prompt_splits') }} as splits using (prompt_id)
where not coalesce(splits.split = 'train' and splits.usable, false)
{% endtest %}

{#- A kept pair without a conflict keeps the source's side, a flipped one takes the other, the rest choose nothing. -#}
{% test chosen_follows_decision(model) %}
select pair_id, source_verdict, decision, chosen
from {{ model }}
where not coalesce(
    case
        when decision in ('kept', 'kept_by_judges')
            then cast(chosen as varchar) = coalesce(source_verdict, judge_verdict)
        when decision = 'flipped' then cast(3 - chosen as varchar) = source_verdict
        else chosen is null
    end,
    false
)
{% endtest %}

{%- set provenances = {
    'kept': ['gold', 'silver', 'kept', 'kept_by_judges'],
    'kept_and_flipped': ['gold', 'silver', 'kept', 'kept_by_judges', 'flipped'],
} -%}

with

selected as (

    select * from {{ ref('int_mixture_candidates') }} where dropped_because is null

),

final as (

    {% for mixture, mixture_id in var('mixture_ids').items() %}
    select
        '{{ mixture_id }}' as mixture_id,
        pair_id,
        chosen,
        cast(1.0 as double) as weight,
        provenance
    from selected
    where provenance in ('{{ provenances[mixture] | join("', '") }}')
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select * from final
order by mixture_id, pair_id

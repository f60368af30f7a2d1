with

asked_for as (

    select * from {{ published('candidate_pool') }}
    where stage = 2

),

wild_pool as (

    select
        coalesce(
            dropped_because,
            case
                when not has_claim then 'no_source_label'
                when not conflict and best_says = 'for' then 'best_model_agrees'
            end
        ) as dropped_because
    from {{ ref('int_wild_pool') }}

),

final as (

    {{ accounting('judge_queue', 'asked_for', ref('judge_queue'), 'wild_pool') }}

)

select * from final
order by table_name, role, reason

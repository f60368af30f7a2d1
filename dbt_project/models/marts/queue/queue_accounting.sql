with

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

    select 'judge_queue' as table_name, 'in' as role, null as reason, count(*) as num_rows
    from {{ published('candidate_pool') }}
    where stage = 2
    union all
    select 'judge_queue', 'out', null, count(*) from {{ ref('judge_queue') }}
    union all
    select 'judge_queue', 'dropped', dropped_because, count(*)
    from wild_pool
    where dropped_because is not null
    group by dropped_because

)

select * from final
order by table_name, role, reason

with

candidates as (

    select * from {{ ref('int_gold_candidates') }}

),

final as (

    select 'gold' as table_name, 'in' as role, null as reason, count(*) as num_rows
    from {{ ref('int_people_verdicts') }}
    union all
    select 'gold', 'out', null, count(*) from {{ ref('gold') }}
    union all
    select 'gold', 'dropped', dropped_because, count(*)
    from candidates
    where dropped_because is not null
    group by dropped_because

)

select * from final
order by table_name, role, reason

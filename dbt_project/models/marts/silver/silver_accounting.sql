with

candidates as (

    select * from {{ ref('int_silver_candidates') }}

),

final as (

    select 'silver' as table_name, 'in' as role, null as reason, count(*) as num_rows
    from {{ ref('stg_panel_labels') }}
    union all
    select 'silver', 'out', null, count(*) from {{ ref('silver') }}
    union all
    select 'silver', 'dropped', dropped_because, count(*)
    from candidates
    where dropped_because is not null
    group by dropped_because

)

select * from final
order by table_name, role, reason

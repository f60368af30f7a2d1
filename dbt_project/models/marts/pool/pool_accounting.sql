with

final as (

    select 'candidate_pool' as table_name, 'in' as role, null as reason, count(*) as num_rows
    from {{ ref('stg_pairs') }}
    union all
    select 'candidate_pool', 'out', null, count(*) from {{ ref('candidate_pool') }}
    union all
    select 'candidate_pool', 'dropped', reason, count(*) from {{ ref('exclusions') }} group by reason

)

select * from final
order by table_name, role, reason

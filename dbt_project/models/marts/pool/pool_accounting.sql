with

excluded as (

    select reason as dropped_because from {{ ref('exclusions') }}

),

final as (

    {{ accounting('candidate_pool', ref('stg_pairs'), ref('candidate_pool'), 'excluded') }}

)

select * from final
order by table_name, role, reason

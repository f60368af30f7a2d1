with

final as (

    {{ accounting('gold', ref('int_people_verdicts'), ref('gold'), ref('int_gold_candidates')) }}

)

select * from final
order by table_name, role, reason

with

final as (

    {{ accounting('silver', ref('stg_panel_labels'), ref('silver'), ref('int_silver_candidates')) }}

)

select * from final
order by table_name, role, reason

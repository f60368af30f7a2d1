with

in_force as (

    {{ events_in_force(lake('stage_2_label_events')) }}

),

final as (

    select
        pair_id,
        verdict,
        confidence
    from in_force
    where labeller_kind = 'judge' and labeller = 'panel' and round = 'stage_2'
    qualify row_number() over (partition by pair_id order by seq desc, event_id) = 1

)

select * from final

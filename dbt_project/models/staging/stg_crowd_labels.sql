with

in_force as (

    {{ events_in_force(lake('crowd_label_events'), rounds_so_far()) }}

),

final as (

    select
        pair_id,
        verdict,
        confidence
    from in_force
    where labeller_kind = 'crowd_model'
    qualify row_number() over (partition by pair_id order by round_number desc, seq desc, event_id) = 1

)

select * from final

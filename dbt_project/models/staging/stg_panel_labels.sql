with

in_force as (

    {{ events_in_force(lake('judge_label_events'), rounds_so_far()) }}

),

final as (

    select
        pair_id,
        verdict,
        confidence,
        cast(evidence ->> 'num_judges' as bigint) as num_judges,
        cast(evidence ->> 'agreement' as double) as agreement
    from in_force
    where labeller_kind = 'judge' and labeller = 'panel'
    qualify row_number() over (partition by pair_id order by round_number desc, seq desc, event_id) = 1

)

select * from final

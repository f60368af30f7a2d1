with

in_force as (

    {{ events_in_force(lake('source_label_events')) }}

),

final as (

    select
        pair_id,
        labeller as source,
        cast(evidence ->> 'source_row' as bigint) as source_row,
        seq,
        verdict
    from in_force
    where labeller_kind = 'source'
    qualify row_number() over (partition by pair_id, labeller, source_row order by seq desc, event_id) = 1

)

select * from final

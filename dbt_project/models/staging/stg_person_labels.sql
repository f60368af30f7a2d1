with

in_force as (

    {{ events_in_force(lake('person_label_events'), rounds_so_far()) }}

),

-- A person asked again in a later round has changed their mind: the last verdict counts.
final as (

    select
        pair_id,
        labeller_kind,
        labeller,
        verdict,
        round_number,
        seq,
        event_id
    from in_force
    where labeller_kind in ('person', 'adjudicator')
        -- Repeats and known answers measure the person; they are no votes.
        and coalesce(purpose, 'label') = 'label'
    qualify row_number() over (
        partition by pair_id, labeller_kind, labeller
        order by round_number desc, seq desc, event_id
    ) = 1

)

select * from final

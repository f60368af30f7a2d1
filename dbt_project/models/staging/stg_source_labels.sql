with

superseded as (

    select supersedes as event_id
    from {{ lake('source_label_events') }}
    where supersedes is not null

),

-- A row has one event in force, since each new one names the one before it: no window over the whole ledger.
final as (

    select
        pair_id,
        labeller as source,
        source_row,
        verdict,
        confidence
    from {{ lake('source_label_events') }}
    anti join superseded using (event_id)

)

select * from final

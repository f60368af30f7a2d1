{{ config(materialized='table', tags=['pool']) }}

with

-- A row that makes no pair repeats none.
pairs as (

    select
        *,
        if(problem is null, hash(pair_id), null) as pair_hash
    from {{ ref('stg_pairs') }}

),

rows as (

    select
        pair_id,
        source,
        source_row,
        label_origin,
        problem
    from pairs
    left join {{ ref('int_suspect_pairs') }} as suspects using (pair_hash)
    where
        problem is not null
        or suspects.pair_hash is not null

),

labels as (

    select *
    from {{ ref('stg_source_labels') }}
    where
        verdict <> 'undecided'
        and hash(pair_id) in (select pair_hash from {{ ref('int_suspect_pairs') }})

),

labelled_rows as (

    select
        rows.*,
        labels.verdict,
        labels.confidence
    from rows
    left join labels using (pair_id, source, source_row)

),

ranked_rows as (

    select
        *,
        row_number() over ranked as place,
        first({'source': source, 'source_row': source_row, 'verdict': verdict}) over ranked as representative,
        count(distinct source) over pair as num_sources,
        bool_or(verdict = '1') over pair as has_verdict_1,
        bool_or(verdict = '2') over pair as has_verdict_2
    from labelled_rows
    window
        pair as (partition by pair_id, problem),
        ranked as (partition by pair_id, problem order by {{ representative_first() }})

),

final as (

    select
        * exclude (has_verdict_1, has_verdict_2),
        coalesce(has_verdict_1 and has_verdict_2, false) as conflict
    from ranked_rows

)

select * from final

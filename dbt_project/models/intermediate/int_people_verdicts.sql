with

labels as (

    select * from {{ ref('stg_person_labels') }}

),

votes as (

    select
        pair_id,
        verdict,
        count(*) as num_votes
    from labels
    group by pair_id, verdict

),

tallies as (

    select
        pair_id,
        cast(sum(num_votes) as bigint) as num_votes,
        -- More than half of the votes; null where no verdict has that.
        max(verdict) filter (num_votes * 2 > num_labels) as majority,
        -- Share of pairs of people who agree; undefined for one.
        case
            when any_value(num_labels) > 1
                then sum(num_votes * (num_votes - 1)) / (any_value(num_labels) * (any_value(num_labels) - 1))
        end as agreement
    from (select *, sum(num_votes) over (partition by pair_id) as num_labels from votes)
    group by pair_id

),

adjudicated as (

    select pair_id, verdict
    from labels
    where labeller_kind = 'adjudicator'
    qualify row_number() over (partition by pair_id order by round_number desc, seq desc, event_id) = 1

),

decided as (

    select
        tallies.*,
        coalesce(adjudicated.verdict, tallies.majority) as decision
    from tallies
    left join adjudicated using (pair_id)

),

final as (

    select
        decided.pair_id,
        nullif(decided.decision, 'undecided') as verdict,
        case
            when decided.decision is null then 'people_disagree'
            when decided.decision = 'undecided' then 'people_undecided'
        end as why_not,
        cast(coalesce(votes.num_votes, 0) / decided.num_votes as double) as confidence,
        decided.num_votes,
        cast(decided.agreement as double) as agreement
    from decided
    left join votes
        on votes.pair_id = decided.pair_id
        and votes.verdict = decided.decision

)

select * from final

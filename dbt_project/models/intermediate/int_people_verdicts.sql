with

labels as (

    select * from {{ ref('stg_person_labels') }}

),

crowd as (

    select * from {{ ref('stg_crowd_labels') }}

),

votes as (

    select
        pair_id,
        verdict,
        count(*) as num_votes,
        count(*) filter (labeller_kind = 'person') as num_people
    from labels
    group by pair_id, verdict

),

totals as (

    select
        *,
        sum(num_people) over (partition by pair_id) as num_people_of_pair
    from votes

),

tallies as (

    select
        pair_id,
        cast(sum(num_votes) as bigint) as num_votes,
        -- More than half of the people's votes; null where no verdict has that.
        max(verdict) filter (num_people * 2 > num_people_of_pair) as majority,
        -- Share of pairs of people who agree; undefined for one.
        case
            when any_value(num_people_of_pair) > 1
                then
                    sum(num_people * (num_people - 1))
                    / (any_value(num_people_of_pair) * (any_value(num_people_of_pair) - 1))
        end as agreement
    from totals
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
        crowd.confidence as crowd_confidence,
        case
            when adjudicated.pair_id is not null then 'adjudicator'
            -- A verdict of the crowd model is 1, 2 or tie: it is not asked where most people could not decide.
            when
                '{{ var("people_aggregate") }}' = 'crowd_model'
                and crowd.pair_id is not null
                and tallies.majority is distinct from 'undecided'
                then 'crowd_model'
            else 'majority'
        end as decided_by,
        case decided_by
            when 'adjudicator' then adjudicated.verdict
            when 'crowd_model' then if(crowd.confidence >= {{ var("people_min_confidence") }}, crowd.verdict, null)
            else tallies.majority
        end as decision
    from tallies
    left join adjudicated using (pair_id)
    left join crowd using (pair_id)

),

final as (

    select
        decided.pair_id,
        nullif(decided.decision, 'undecided') as verdict,
        case
            when decided.decision is null then 'people_disagree'
            when decided.decision = 'undecided' then 'people_undecided'
        end as why_not,
        cast(
            if(
                decided.decided_by = 'crowd_model',
                decided.crowd_confidence,
                coalesce(votes.num_votes, 0) / decided.num_votes
            ) as double
        ) as confidence,
        decided.decided_by,
        decided.num_votes,
        cast(decided.agreement as double) as agreement
    from decided
    left join votes
        on votes.pair_id = decided.pair_id
        and votes.verdict = decided.decision

)

select * from final

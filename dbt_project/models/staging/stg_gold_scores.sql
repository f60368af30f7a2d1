select
    pair_id,
    probability_1
from {{ lake('pair_scores_gold') }}

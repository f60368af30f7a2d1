"""How far people's labels can be believed: agreement, each person's quality, the crowd's verdict, change over time.

Pure functions over label events; what a label event says of a person's answer is in `votes`.
"""

from assets.human_gold.agreement.between import Agreement, PersonAgreement, agreement_by_slice, measure_agreement
from assets.human_gold.agreement.coefficients import krippendorff_alpha
from assets.human_gold.agreement.resampling import MIN_CLUSTERS
from assets.human_gold.agreement.votes import last_verdicts, read_answers

__all__ = [
    "MIN_CLUSTERS",
    "Agreement",
    "PersonAgreement",
    "agreement_by_slice",
    "krippendorff_alpha",
    "last_verdicts",
    "measure_agreement",
    "read_answers",
]

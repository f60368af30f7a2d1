"""How far people's labels can be believed: agreement, each person's quality, the crowd's verdict, change over time.

Pure functions over label events; what a label event says of a person's answer is in `votes`.
"""

from assets.human_gold.agreement.between import Agreement, PersonAgreement, agreement_by_slice, measure_agreement
from assets.human_gold.agreement.coefficients import krippendorff_alpha
from assets.human_gold.agreement.crowd import Crowd, fit_crowd
from assets.human_gold.agreement.quality import HumanQuality, measure_quality
from assets.human_gold.agreement.resampling import MIN_CLUSTERS
from assets.human_gold.agreement.votes import last_verdicts, read_answers

__all__ = [
    "MIN_CLUSTERS",
    "Agreement",
    "Crowd",
    "HumanQuality",
    "PersonAgreement",
    "agreement_by_slice",
    "fit_crowd",
    "krippendorff_alpha",
    "last_verdicts",
    "measure_agreement",
    "measure_quality",
    "read_answers",
]

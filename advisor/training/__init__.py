"""Training: the plan that the findings make for the run."""

from advisor.training.making import make_plan
from advisor.training.objective import Objective, infer_objective
from advisor.training.optimizer import undecayed_variables, with_weight_decay
from advisor.training.plan import TrainingPlan
from advisor.training.transfer import TransferHistory, TransferPlan

__all__ = [
    "Objective",
    "TrainingPlan",
    "TransferHistory",
    "TransferPlan",
    "infer_objective",
    "make_plan",
    "undecayed_variables",
    "with_weight_decay",
]

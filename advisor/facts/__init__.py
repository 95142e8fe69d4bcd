"""Facts: what is known of the model, the data and the training run, for the rules to read."""

from advisor.facts.data_facts import ArrayFacts, DataFacts, Modality
from advisor.facts.facts import Facts, gather_facts
from advisor.facts.kinds import Kind, kind_of, register_layer_kind
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts
from advisor.facts.learning_rate import LearningRate, learning_rate
from advisor.facts.measurement import Measurement
from advisor.facts.model_facts import ERROR_LOSSES, TASKS, Head, Loss, ModelFacts
from advisor.facts.training_facts import TrainingFacts, training_facts

__all__ = [
    "ERROR_LOSSES",
    "LINEAR_KINDS",
    "TASKS",
    "ArrayFacts",
    "DataFacts",
    "Facts",
    "Head",
    "Kind",
    "LayerFacts",
    "LearningRate",
    "Loss",
    "Measurement",
    "Modality",
    "ModelFacts",
    "TrainingFacts",
    "gather_facts",
    "kind_of",
    "learning_rate",
    "register_layer_kind",
    "training_facts",
]

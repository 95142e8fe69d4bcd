"""Rewriting: edits planned, a model rebuilt with them, weights carried over, the result verified."""

from advisor.rewrite.errors import RewriteError
from advisor.rewrite.rebuild import Rebuilt, rebuild
from advisor.rewrite.recipes.add_drop_path import add_drop_path
from advisor.rewrite.recipes.add_dropout import add_dropout
from advisor.rewrite.recipes.add_regularizer import add_regularizer
from advisor.rewrite.recipes.drop_zero_branches import drop_zero_branches
from advisor.rewrite.recipes.fold_batch_norm import fold_batch_norm
from advisor.rewrite.recipes.fold_layer_scale import fold_layer_scale
from advisor.rewrite.recipes.fold_norm_weights import fold_norm_weights
from advisor.rewrite.recipes.fold_rescaling import fold_rescaling
from advisor.rewrite.recipes.freeze_batch_norm import freeze_batch_norm, unfreeze_batch_norm
from advisor.rewrite.recipes.pretrained_backbone import pretrained_backbone
from advisor.rewrite.recipes.remove_weight_normalization import remove_weight_normalization
from advisor.rewrite.recipes.replace_norm import replace_norm
from advisor.rewrite.recipes.strip_training_layers import strip_training_layers
from advisor.rewrite.recipes.synchronize_batch_norm import synchronize_batch_norm
from advisor.rewrite.rewriting import Applied, Rewrite, Skipped, rewrite
from advisor.rewrite.verify import relative_difference
from advisor.rewrite.weights import WeightOrigin

__all__ = [
    "Applied",
    "Rebuilt",
    "Rewrite",
    "RewriteError",
    "Skipped",
    "WeightOrigin",
    "add_drop_path",
    "add_dropout",
    "add_regularizer",
    "drop_zero_branches",
    "fold_batch_norm",
    "fold_layer_scale",
    "fold_norm_weights",
    "fold_rescaling",
    "freeze_batch_norm",
    "pretrained_backbone",
    "rebuild",
    "relative_difference",
    "remove_weight_normalization",
    "replace_norm",
    "rewrite",
    "strip_training_layers",
    "synchronize_batch_norm",
    "unfreeze_batch_norm",
]

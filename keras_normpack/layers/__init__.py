"""The layers and wrappers."""

from keras_normpack.layers.augmentation.random_jitter import RandomJitter
from keras_normpack.layers.augmentation.random_scaling import RandomScaling
from keras_normpack.layers.augmentation.random_time_shift import RandomTimeShift
from keras_normpack.layers.augmentation.spec_augment import SpecAugment
from keras_normpack.layers.normalization.adaptive_instance_normalization import AdaptiveInstanceNormalization
from keras_normpack.layers.normalization.batch_normalization import BatchNormalization
from keras_normpack.layers.normalization.conditional_normalization import ConditionalNormalization
from keras_normpack.layers.normalization.dynamic_tanh import DynamicTanh
from keras_normpack.layers.normalization.filter_response_normalization import FilterResponseNormalization
from keras_normpack.layers.normalization.global_response_normalization import GlobalResponseNormalization
from keras_normpack.layers.normalization.group_normalization import GroupNormalization
from keras_normpack.layers.normalization.instance_normalization import InstanceNormalization
from keras_normpack.layers.normalization.layer_normalization import LayerNormalization
from keras_normpack.layers.normalization.layer_scale import LayerScale
from keras_normpack.layers.normalization.reversible_instance_normalization import ReversibleInstanceNormalization
from keras_normpack.layers.normalization.rms_normalization import RMSNormalization
from keras_normpack.layers.normalization.tlu import TLU
from keras_normpack.layers.recurrent.layer_norm_gru import LayerNormGRU
from keras_normpack.layers.recurrent.layer_norm_gru_cell import LayerNormGRUCell
from keras_normpack.layers.recurrent.layer_norm_lstm import LayerNormLSTM
from keras_normpack.layers.recurrent.layer_norm_lstm_cell import LayerNormLSTMCell
from keras_normpack.layers.recurrent.layer_norm_simple_rnn_cell import LayerNormSimpleRNNCell
from keras_normpack.layers.regularization.drop_block_1d import DropBlock1D
from keras_normpack.layers.regularization.drop_block_2d import DropBlock2D
from keras_normpack.layers.regularization.drop_block_3d import DropBlock3D
from keras_normpack.layers.regularization.drop_path import DropPath
from keras_normpack.layers.regularization.monte_carlo_dropout import MonteCarloDropout
from keras_normpack.layers.regularization.stochastic_depth import StochasticDepth
from keras_normpack.layers.reparameterization.weight_normalization import WeightNormalization
from keras_normpack.layers.reparameterization.weight_standardization import WeightStandardization

__all__ = [
    "TLU",
    "AdaptiveInstanceNormalization",
    "BatchNormalization",
    "ConditionalNormalization",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropPath",
    "DynamicTanh",
    "FilterResponseNormalization",
    "GlobalResponseNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormGRU",
    "LayerNormGRUCell",
    "LayerNormLSTM",
    "LayerNormLSTMCell",
    "LayerNormSimpleRNNCell",
    "LayerNormalization",
    "LayerScale",
    "MonteCarloDropout",
    "RMSNormalization",
    "RandomJitter",
    "RandomScaling",
    "RandomTimeShift",
    "ReversibleInstanceNormalization",
    "SpecAugment",
    "StochasticDepth",
    "WeightNormalization",
    "WeightStandardization",
]

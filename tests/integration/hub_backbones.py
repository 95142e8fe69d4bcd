"""Tiny KerasHub backbones and tasks with random weights, each as a function that builds it."""

from __future__ import annotations

import keras_hub
from keras_hub import models

TEXT = {"vocabulary_size": 17, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
DECODER = {
    "vocabulary_size": 17,
    "num_layers": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
SIDE = (32, 32, 3)


def _resnet(block_type: str, *, use_pre_activation: bool):
    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 2],
        stackwise_num_strides=[1, 2],
        block_type=block_type,
        use_pre_activation=use_pre_activation,
        image_shape=SIDE,
    )


def _mobilenet():
    return models.MobileNetBackbone(
        stackwise_expansion=[[8, 12], [16, 24]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[8, 8], [12, 12]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=32,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=16,
        squeeze_and_excite=0.5,
        image_shape=SIDE,
    )


def _efficientnet():
    return models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["fused", "unfused"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        input_shape=SIDE,
    )


def _csp():
    return models.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_num_filters=[8, 16],
        block_type="dark_block",
        stage_type="csp",
        stem_padding="same",
        bottle_ratio=[0.5, 1.0],
        block_ratio=[1.0, 0.5],
        expand_ratio=[2.0, 1.0],
        down_growth=True,
        image_shape=SIDE,
    )


def _mit():
    return models.MiTBackbone(
        image_shape=SIDE,
        num_layers=2,
        hidden_dims=[4, 8],
        layerwise_depths=[1, 2],
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        max_drop_path_rate=0.1,
    )


def _segformer():
    return models.SegFormerBackbone(image_encoder=_mit(), projection_filters=8)


def _vit():
    return models.ViTBackbone(
        image_shape=(16, 16, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16
    )


def _dinov2():
    return models.DINOV2Backbone(
        patch_size=8,
        num_layers=2,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        image_shape=(16, 16, 3),
        position_embedding_shape=(16, 16, 3),
    )


def _whisper():
    return models.WhisperBackbone(**TEXT, num_mels=10, max_encoder_sequence_length=8, max_decoder_sequence_length=8)


def _sam():
    image_encoder = models.ViTDetBackbone(
        hidden_size=8,
        num_layers=2,
        intermediate_dim=16,
        num_heads=2,
        global_attention_layer_indices=[1],
        patch_size=16,
        num_output_channels=8,
        window_size=2,
        image_shape=(64, 64, 3),
    )
    prompt_encoder = keras_hub.layers.SAMPromptEncoder(
        hidden_size=8, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_channels=16
    )
    mask_decoder = keras_hub.layers.SAMMaskDecoder(
        num_layers=2,
        hidden_size=8,
        intermediate_dim=16,
        num_heads=2,
        embedding_dim=8,
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=8,
    )
    return models.SAMBackbone(image_encoder=image_encoder, prompt_encoder=prompt_encoder, mask_decoder=mask_decoder)


BACKBONES = {
    "BERT": lambda: models.BertBackbone(**TEXT, max_sequence_length=8),
    "RoBERTa": lambda: models.RobertaBackbone(**TEXT, max_sequence_length=8),
    "DistilBERT": lambda: models.DistilBertBackbone(**TEXT, max_sequence_length=8),
    "ALBERT": lambda: models.AlbertBackbone(**TEXT, embedding_dim=4, num_groups=1, max_sequence_length=8),
    "DeBERTaV3": lambda: models.DebertaV3Backbone(**TEXT, max_sequence_length=8),
    "XLNet": lambda: models.XLNetBackbone(**TEXT),
    "FNet": lambda: models.FNetBackbone(
        vocabulary_size=17, num_layers=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=8
    ),
    "GPT2": lambda: models.GPT2Backbone(**TEXT, max_sequence_length=8),
    "BART": lambda: models.BartBackbone(**TEXT, max_sequence_length=8),
    "T5": lambda: models.T5Backbone(**TEXT),
    "Whisper": _whisper,
    "Llama": lambda: models.LlamaBackbone(**DECODER),
    "Mistral": lambda: models.MistralBackbone(**DECODER),
    "Gemma": lambda: models.GemmaBackbone(**DECODER, head_dim=4),
    "ViT": _vit,
    "DINOv2": _dinov2,
    "ResNet": lambda: _resnet("basic_block", use_pre_activation=False),
    "ResNetV2": lambda: _resnet("bottleneck_block", use_pre_activation=True),
    "MobileNet": _mobilenet,
    "DenseNet": lambda: models.DenseNetBackbone(stackwise_num_repeats=[2, 2], growth_rate=4, image_shape=SIDE),
    "EfficientNet": _efficientnet,
    "VGG": lambda: models.VGGBackbone(stackwise_num_repeats=[1, 2], stackwise_num_filters=[4, 8], image_shape=SIDE),
    "CSPDarkNet": _csp,
    "MiT": _mit,
    "SegFormer": _segformer,
    "SAM": _sam,
    "image classifier": lambda: models.ImageClassifier(
        backbone=_resnet("basic_block", use_pre_activation=False), num_classes=3
    ),
    "text classifier": lambda: models.BertTextClassifier(
        backbone=models.BertBackbone(**TEXT, max_sequence_length=8), num_classes=3, preprocessor=None
    ),
}

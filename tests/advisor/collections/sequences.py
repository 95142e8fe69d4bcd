"""Networks for text, speech, series and sensors, as their papers give them, in small widths."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("collections")
class Positions(layers.Layer):
    """Learned embeddings of positions, added."""

    def build(self, shape):
        self.table = self.add_weight(shape=(shape[1], shape[2]), initializer="uniform", name="table")

    def call(self, x):
        return x + self.table


@keras.saving.register_keras_serializable("collections")
class TransformerBlock(layers.Layer):
    """Vaswani et al. 2017, arXiv:1706.03762, as Keras's own example writes it: all layers made in the constructor."""

    def __init__(self, width, heads, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.rate = width, heads, rate
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.feed_forward = keras.Sequential([layers.Dense(width * 2, activation="relu"), layers.Dense(width)])
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.drops = [layers.Dropout(rate) for _ in range(2)]

    def build(self, shape):
        self.attention.build(shape, shape)
        self.feed_forward.build(shape)
        for norm in self.norms:
            norm.build(shape)

    def call(self, x, training=None):
        x = self.norms[0](x + self.drops[0](self.attention(x, x), training=training))
        return self.norms[1](x + self.drops[1](self.feed_forward(x), training=training))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "heads": self.heads, "rate": self.rate}


def _pre_norm_block(x, width, *, causal=False, heads=2, rate=0.1):
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = layers.MultiHeadAttention(heads, width // heads, dropout=rate)(y, y, use_causal_mask=causal)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = layers.Dense(width, name=None)(layers.Dense(width * 2, activation="gelu")(y))
    return layers.Add()([x, layers.Dropout(rate)(y)])


def text_classification_transformer():
    """Vaswani et al. 2017, as Keras's own example of it."""
    tokens = keras.Input((12,), dtype="int32")
    x = Positions()(layers.Embedding(50, 8)(tokens))
    x = layers.GlobalAveragePooling1D()(TransformerBlock(8, 2, name="block")(x))
    x = layers.Dropout(0.1)(layers.Dense(8, activation="relu")(layers.Dropout(0.1)(x)))
    model = keras.Model(tokens, layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def encoder_decoder_transformer():
    """Vaswani et al. 2017, arXiv:1706.03762: post-normalization, cross attention, tokens of two languages."""
    source = keras.Input((10,), dtype="int32", name="source")
    target = keras.Input((9,), dtype="int32", name="target")

    def sublayer(x, y):
        return layers.LayerNormalization()(layers.Add()([x, layers.Dropout(0.1)(y)]))

    def feed_forward(x):
        return layers.Dense(8)(layers.Dense(16, activation="relu")(x))

    x = Positions()(layers.Embedding(30, 8)(source))
    for _ in range(2):
        x = sublayer(x, layers.MultiHeadAttention(2, 4)(x, x))
        x = sublayer(x, feed_forward(x))
    y = Positions()(layers.Embedding(40, 8)(target))
    for _ in range(2):
        y = sublayer(y, layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True))
        y = sublayer(y, layers.MultiHeadAttention(2, 4)(y, x))
        y = sublayer(y, feed_forward(y))
    return keras.Model({"source": source, "target": target}, layers.Dense(40)(y))


def bert():
    """Devlin et al. 2019, arXiv:1810.04805: two outputs, padding by a mask of its own."""
    tokens = keras.Input((12,), dtype="int32", name="tokens")
    segments = keras.Input((12,), dtype="int32", name="segments")
    padding = keras.Input((12,), dtype="bool", name="padding")
    x = Positions()(layers.Embedding(50, 8)(tokens) + layers.Embedding(2, 8)(segments))
    x = layers.Dropout(0.1)(layers.LayerNormalization()(x))
    for _ in range(2):
        y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, attention_mask=ops.expand_dims(padding, 1))
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
        y = layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
    pooled = layers.Dense(8, activation="tanh", name="pooled")(x[:, 0])
    return keras.Model([tokens, segments, padding], {"sequence": x, "pooled": pooled})


def gpt():
    """Radford et al. 2018: causal attention, the embedding shared with the output."""
    tokens = keras.Input((12,), dtype="int32")
    embedding = layers.Embedding(50, 8, name="embedding")
    x = layers.Dropout(0.1)(Positions()(embedding(tokens)))
    for _ in range(2):
        x = _pre_norm_block(x, 8, causal=True)
    x = layers.LayerNormalization()(x)
    return keras.Model(tokens, layers.Dense(50, use_bias=False)(x))


def vision_transformer():
    """Dosovitskiy et al. 2021, arXiv:2010.11929."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Reshape((-1, 8))(layers.Conv2D(8, 4, 4)(inputs))
    x = layers.Dropout(0.1)(Positions()(x))
    for _ in range(2):
        x = _pre_norm_block(x, 8)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def mlp_mixer():
    """Tolstikhin et al. 2021, arXiv:2105.01601."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, 4)(inputs))
    for _ in range(2):
        y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        y = layers.Dense(16)(layers.Dense(12, activation="gelu")(y))
        x = x + layers.Permute((2, 1))(y)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(y))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))))


def gmlp():
    """Liu et al. 2021, arXiv:2105.08050: a gate along the sequence."""
    inputs = keras.Input((10, 8))
    x = inputs
    for _ in range(2):
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        kept, gate = ops.split(y, 2, axis=-1)
        gate = layers.Permute((2, 1))(layers.LayerNormalization()(gate))
        gate = layers.Permute((2, 1))(layers.Dense(10, bias_initializer="ones")(gate))
        x = layers.Add()([x, layers.Dense(8)(layers.Multiply()([kept, gate]))])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def perceiver():
    """Jaegle et al. 2021, arXiv:2103.03206: few learned latents attend to many inputs, with shared weights."""

    @keras.saving.register_keras_serializable("collections")
    class Latents(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(1, 4, 8), initializer="normal", name="table")

        def call(self, x):
            return ops.tile(self.table, (ops.shape(x)[0], 1, 1))

    inputs = keras.Input((20, 8))
    latents = Latents()(inputs)
    cross, process = layers.MultiHeadAttention(1, 8, name="cross"), layers.MultiHeadAttention(2, 4, name="process")
    for _ in range(2):
        latents = layers.LayerNormalization()(latents + cross(latents, inputs))
        latents = layers.LayerNormalization()(latents + process(latents, latents))
    return keras.Model(inputs, layers.Dense(3)(ops.mean(latents, axis=1)))


def seq2seq_with_attention():
    """Bahdanau et al. 2015, arXiv:1409.0473: padded sentences, additive attention."""
    source = keras.Input((10,), dtype="int32", name="source")
    target = keras.Input((9,), dtype="int32", name="target")
    encoder = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="encoder")
    encoded = encoder(layers.Embedding(30, 8, mask_zero=True)(source))
    embedded = layers.Embedding(40, 8, mask_zero=True)(target)
    decoded = layers.GRU(8, return_sequences=True, name="decoder")(embedded)
    context = layers.AdditiveAttention(name="attention")([decoded, encoded])
    x = layers.Dense(8, activation="tanh")(layers.Concatenate()([decoded, context]))
    return keras.Model([source, target], layers.TimeDistributed(layers.Dense(40), name="words")(x))


def show_and_tell():
    """Vinyals et al. 2015, arXiv:1411.4555: the image starts the recurrent state."""
    image = keras.Input((16, 16, 3), name="image")
    words = keras.Input((8,), dtype="int32", name="words")
    x = layers.Conv2D(8, 3, 2, activation="relu")(image)
    x = layers.Dropout(0.5)(layers.Dense(8)(layers.GlobalAveragePooling2D()(x)))
    embedded = layers.Dropout(0.5)(layers.Embedding(40, 8, mask_zero=True)(words))
    told = layers.LSTM(8, return_sequences=True)(embedded, initial_state=[x, x])
    return keras.Model((image, words), layers.Dense(40, activation="softmax")(told))


def crnn():
    """Shi et al. 2017, arXiv:1507.05717: columns of feature maps are read as a sequence."""
    inputs = keras.Input((16, 32, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D((2, 1))(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Reshape((16, 32))(layers.Permute((2, 1, 3))(x))
    for _ in range(2):
        x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    return keras.Model(inputs, layers.Dense(11, activation="softmax")(x))


def wavenet():
    """Van den Oord et al. 2016, arXiv:1609.03499: dilated causal convolutions, gated."""
    inputs = keras.Input((32, 1))
    x, skips = layers.Conv1D(8, 2, padding="causal")(inputs), []
    for dilation in (1, 2, 4):
        gates = [
            layers.Conv1D(8, 2, padding="causal", dilation_rate=dilation, activation=activation)(x)
            for activation in ("tanh", "sigmoid")
        ]
        y = layers.Multiply()(gates)
        skips.append(layers.Conv1D(8, 1)(y))
        x = layers.Add()([x, layers.Conv1D(8, 1)(y)])
    y = layers.Conv1D(8, 1, activation="relu")(layers.ReLU()(layers.Add()(skips)))
    return keras.Model(inputs, layers.Conv1D(16, 1, activation="softmax")(y))


def temporal_convolutions():
    """Bai et al. 2018, arXiv:1803.01271: residual blocks with spatial dropout."""
    inputs = keras.Input((32, 3))
    x = layers.Conv1D(8, 1)(inputs)
    for dilation in (1, 2):
        y = x
        for _ in range(2):
            y = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation)(y)
            y = layers.SpatialDropout1D(0.2)(layers.ReLU()(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(5)(x[:, -1]))


def deep_conv_lstm():
    """Ordóñez & Roggen 2016: convolutions, then recurrence, on the signals of worn sensors."""
    stack = [layers.Conv1D(8, 5, activation="relu") for _ in range(4)]
    stack += [layers.Dropout(0.5), layers.LSTM(8, return_sequences=True), layers.Dropout(0.5), layers.LSTM(8)]
    return keras.Sequential([keras.Input((32, 6)), *stack, layers.Dense(5, activation="softmax")])


def ecg_network():
    """Hannun et al. 2019: a residual network of one-dimensional convolutions."""
    inputs = keras.Input((64, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(8, 7, padding="same")(inputs)))
    for _ in range(2):
        y = layers.Dropout(0.2)(layers.ReLU()(layers.BatchNormalization()(x)))
        y = layers.Conv1D(8, 7, 2, padding="same")(y)
        x = layers.Add()([layers.MaxPooling1D(2, padding="same")(x), y])
    x = layers.TimeDistributed(layers.Dense(4, activation="softmax"))(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, x)


def n_beats():
    """Oreshkin et al. 2020, arXiv:1905.10437: every block takes away what it explains."""
    inputs = keras.Input((12,))
    rest, forecasts = inputs, []
    for _ in range(2):
        x = rest
        for _ in range(3):
            x = layers.Dense(8, activation="relu")(x)
        rest = layers.Subtract()([rest, layers.Dense(12, use_bias=False)(x)])
        forecasts.append(layers.Dense(4, use_bias=False)(x))
    return keras.Model(inputs, layers.Add()(forecasts))


FAST = {"Transformer classifier": text_classification_transformer, "N-BEATS": n_beats}
SLOW = {
    "Transformer": encoder_decoder_transformer,
    "BERT": bert,
    "GPT": gpt,
    "ViT": vision_transformer,
    "MLP-Mixer": mlp_mixer,
    "gMLP": gmlp,
    "Perceiver": perceiver,
    "Show and tell": show_and_tell,
    "WaveNet": wavenet,
    "TCN": temporal_convolutions,
    "DeepConvLSTM": deep_conv_lstm,
    "ECG": ecg_network,
    "Bahdanau": seq2seq_with_attention,
    "CRNN": crnn,
}

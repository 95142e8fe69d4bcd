"""Networks for tables, pairs, recommendations, sets and graphs, as their papers give them, in small widths."""

from __future__ import annotations

import keras
from keras import layers, ops


def _tower(width=8, name="tower"):
    stack = [layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dense(width)]
    return keras.Sequential([keras.Input((6,)), *stack], name=name)


@keras.saving.register_keras_serializable("collections")
def distance_between(pair):
    return ops.abs(pair[0] - pair[1])


def siamese():
    """Bromley et al. 1993: one network for two inputs."""
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    twin = _tower()
    distance = layers.Lambda(distance_between)([twin(left), twin(right)])
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid")(distance))


def triplet():
    """Schroff et al. 2015, arXiv:1503.03832: three inputs in a dictionary, embeddings of length one."""
    inputs = {name: keras.Input((6,), name=name) for name in ("anchor", "positive", "negative")}
    twin, unit = _tower(), layers.UnitNormalization()
    return keras.Model(inputs, {name: unit(twin(x)) for name, x in inputs.items()})


def two_towers():
    """Covington et al. 2016: users and items, each with a tower; the score is a product."""
    user, item = keras.Input((1,), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="item")
    towers = [
        layers.Dense(4)(layers.Dropout(0.2)(layers.Dense(8, activation="relu")(layers.Flatten()(embedded))))
        for embedded in (layers.Embedding(20, 8)(user), layers.Embedding(30, 8)(item))
    ]
    return keras.Model([user, item], layers.Dot(1, normalize=True)(towers))


def neural_collaborative_filtering():
    """He et al. 2017, arXiv:1708.05031."""
    user, item = keras.Input((1,), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="item")
    embedded = [layers.Flatten()(layers.Embedding(n, 4)(x)) for n, x in ((20, user), (30, item)) for _ in range(2)]
    product = layers.Multiply()([embedded[0], embedded[2]])
    deep = layers.Concatenate()([embedded[1], embedded[3]])
    for width in (16, 8):
        deep = layers.Dense(width, activation="relu")(deep)
    score = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([product, deep]))
    model = keras.Model([user, item], score)
    model.compile("adam", "binary_crossentropy")
    return model


def wide_and_deep():
    """Cheng et al. 2016, arXiv:1606.07792."""
    wide, deep = keras.Input((5,), name="wide"), keras.Input((6,), name="deep")
    x = layers.Normalization(mean=[0.0] * 6, variance=[1.0] * 6)(deep)
    for _ in range(3):
        x = layers.Dense(8, activation="relu")(x)
    output = layers.Dense(1)(x) + layers.Dense(1, use_bias=False)(wide)
    return keras.Model((wide, deep), ops.sigmoid(output))


def deep_fm():
    """Guo et al. 2017, arXiv:1703.04247: factorization machine and perceptron share embeddings."""
    fields = keras.Input((4,), dtype="int32", name="fields")
    embedded = layers.Embedding(40, 4, name="factors")(fields)
    first = ops.sum(layers.Embedding(40, 1, name="weights")(fields), axis=1)
    pairs = ops.square(ops.sum(embedded, 1)) - ops.sum(ops.square(embedded), 1)
    deep = layers.Flatten()(embedded)
    for _ in range(2):
        deep = layers.Dropout(0.5)(layers.Dense(8, activation="relu")(deep))
    score = first + ops.sum(pairs, 1, keepdims=True) / 2 + layers.Dense(1)(deep)
    return keras.Model(fields, layers.Activation("sigmoid")(score))


def tabnet():
    """Arik & Pfister 2021, arXiv:1908.07442: steps that choose features, the first transform shared."""
    inputs = keras.Input((6,))
    x = layers.BatchNormalization()(inputs)
    shared = layers.Dense(8, use_bias=False, name="shared")
    prior, total, chosen = ops.ones_like(x), None, x
    for step in range(2):
        y = layers.BatchNormalization()(shared(chosen))
        kept = layers.ReLU()(y)
        total = kept if total is None else layers.Add()([total, kept])
        attention = layers.BatchNormalization()(layers.Dense(6, use_bias=False, name=f"attend_{step}")(y))
        attention = layers.Softmax()(attention * prior)
        prior = prior * (1.5 - attention)
        chosen = layers.Multiply()([x, attention])
    return keras.Model(inputs, layers.Dense(3)(total))


def point_net():
    """Qi et al. 2017, arXiv:1612.00593: a learned rotation, one perceptron per point, the maximum of all."""
    inputs = keras.Input((32, 3))

    def perceptron(x, filters):
        x = layers.Conv1D(filters, 1)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.0)(x))

    rotation = layers.GlobalMaxPooling1D()(perceptron(inputs, 8))
    rotation = layers.Dense(9, kernel_initializer="zeros")(rotation)
    x = ops.matmul(inputs, ops.reshape(rotation, (-1, 3, 3)) + ops.eye(3))
    x = ops.max(perceptron(perceptron(x, 8), 16), axis=1)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dropout(0.3)(x)))


def graph_convolutions():
    """Kipf & Welling 2017, arXiv:1609.02907: the neighbours are an input."""
    features = keras.Input((10, 4), name="features")
    adjacency = keras.Input((10, 10), name="adjacency")
    x = layers.ReLU()(ops.matmul(adjacency, layers.Dense(8, use_bias=False)(features)))
    x = ops.matmul(adjacency, layers.Dense(3)(layers.Dropout(0.5)(x)))
    return keras.Model({"features": features, "adjacency": adjacency}, layers.Softmax()(x))


@keras.saving.register_keras_serializable("collections")
class ResidualPerceptron(keras.Model):
    """A subclassed model as tutorials write it: layers in lists, made by the constructor."""

    def __init__(self, width=8, depth=2, **kwargs):
        super().__init__(**kwargs)
        self.width, self.depth = width, depth
        self.enter = layers.Dense(width)
        self.steps = [layers.Dense(width) for _ in range(depth)]
        self.norms = [layers.BatchNormalization() for _ in range(depth)]
        self.drop = layers.Dropout(0.1)
        self.head = layers.Dense(1)

    def call(self, inputs, training=False):
        x = self.enter(inputs)
        for step, norm in zip(self.steps, self.norms, strict=True):
            x = x + ops.relu(norm(step(x), training=training))
        return self.head(self.drop(x, training=training))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "depth": self.depth}


def residual_perceptron():
    """Gorishniy et al. 2021, arXiv:2106.11959, as a subclassed model."""
    model = ResidualPerceptron(name="perceptron")
    model(ops.ones((1, 6)))
    model.compile("adam", "mse")
    return model


FAST = {"Siamese": siamese, "Wide & Deep": wide_and_deep, "Residual perceptron": residual_perceptron}
SLOW = {
    "Triplet": triplet,
    "Two towers": two_towers,
    "Neural collaborative filtering": neural_collaborative_filtering,
    "DeepFM": deep_fm,
    "TabNet": tabnet,
    "PointNet": point_net,
    "GCN": graph_convolutions,
}

"""Topology of a model by its public `get_config()`, to hold `ModelGraph` against."""

from advisor.graph import read_graph


class Numbering:
    """Gives equal calls equal numbers: a call is its layer's name and the numbered calls it reads."""

    def __init__(self):
        self._numbers = {}

    def __call__(self, *signature):
        return self._numbers.setdefault(signature, len(self._numbers))


def assert_same_topology(model):
    """`read_graph` and `get_config` see the same calls, inputs, outputs and masks, in nested models too."""
    number = Numbering()
    graph = read_graph(model)
    assert _by_config(model.get_config(), number) == _by_graph(graph, "", number)
    position = {path: index for index, path in enumerate(graph.nodes)}
    for node in graph.nodes.values():
        for source in (*node.sources, *node.mask_sources):
            assert position[source.path] < position[node.path], f"{node.path} stands before what it reads"


def _by_graph(graph, scope_path, number):
    scope = graph.scopes[scope_path]
    numbers, nested = {}, {}
    for node in graph.nodes.values():
        if node.scope != scope_path:
            continue
        reads = [(numbers[source.path], source.index) for source in node.sources]
        masks = [(numbers[source.path], source.index) for source in node.mask_sources]
        numbers[node.path] = number(node.name, tuple(reads), tuple(masks))
        if node.is_model:
            first_call = graph.calls_of(node.path)[0]
            nested[node.name] = _by_graph(graph, first_call, number)
    outputs = [(numbers[source.path], source.index) for source in scope.outputs]
    return sorted(numbers.values()), [numbers[path] for path in scope.inputs], outputs, nested


def _by_config(config, number):
    return (_by_functional if "input_layers" in config else _by_sequential)(config, number)


def _by_sequential(config, number):
    numbers, nested, previous = [], {}, ()
    for layer in config["layers"]:
        name = layer["config"]["name"]
        numbers.append(number(name, previous, ()))
        previous = ((numbers[-1], 0),)
        if _is_model(layer):
            nested[name] = _by_config(layer["config"], number)
    return sorted(numbers), numbers[:1], list(previous), nested


def _by_functional(config, number):
    layers = {layer["name"]: layer for layer in config["layers"]}
    numbers = {}

    def call_number(name, index):
        if (name, index) not in numbers:
            calls = layers[name]["inbound_nodes"]
            reads, masks = _reads(calls[index]) if calls else ([], [])
            numbers[name, index] = number(
                name,
                tuple((call_number(producer, node), output) for producer, node, output in reads),
                tuple((call_number(producer, node), output) for producer, node, output in masks),
            )
        return numbers[name, index]

    for name, layer in layers.items():
        for index in range(max(1, len(layer["inbound_nodes"]))):
            call_number(name, index)
    # Keras counts the calls of a functional model from 1 here, and from 0 where a call names what it reads.
    first = {name: int("input_layers" in layer["config"]) for name, layer in layers.items()}
    inputs = [call_number(name, node) for name, node, _ in _histories(config["input_layers"])]
    outputs = [
        (call_number(name, node - first[name]), output) for name, node, output in _histories(config["output_layers"])
    ]
    nested = {name: _by_config(layer["config"], number) for name, layer in layers.items() if _is_model(layer)}
    return sorted(numbers.values()), inputs, outputs, nested


def _reads(call):
    kwargs = sorted(call["kwargs"].items())
    masks = [value for key, value in kwargs if key == "mask" or key.endswith("_mask")]
    data = [value for key, value in kwargs if not (key == "mask" or key.endswith("_mask"))]
    return _tensors([call["args"], data]), _tensors(masks)


def _tensors(value):
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [tuple(value["config"]["keras_history"])]
        return [tensor for key in sorted(value) for tensor in _tensors(value[key])]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _histories(structure):
    """The `[layer, call, output]` triples in a structure of inputs or outputs, in flat order."""
    if isinstance(structure, dict):
        return [history for key in sorted(structure) for history in _histories(structure[key])]
    if len(structure) == 3 and isinstance(structure[0], str):
        return [tuple(structure)]
    return [history for item in structure for history in _histories(item)]


def _is_model(layer):
    return "layers" in layer["config"]

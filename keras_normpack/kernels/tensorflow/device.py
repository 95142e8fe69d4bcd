"""What a call of TensorFlow will run on."""

import tensorflow as tf


def only_cpu_visible() -> bool:
    """Tells whether TensorFlow sees no device but processors; it asks without starting the runtime."""
    return all(device.device_type == "CPU" for device in tf.config.get_visible_devices())


def can_compile() -> bool:
    """Tells whether `jit_compile=True` works in this build of TensorFlow."""
    return tf.test.is_built_with_xla()


def being_compiled() -> bool:
    """Tells whether the code that runs is being traced for XLA, as with `jit_compile=True`.

    TensorFlow marks the graph around the call, and has no public way to ask; a release without the mark gives `False`.
    """
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        context = getattr(graph, "_get_control_flow_context", lambda: None)()
        if context is not None and context.IsXLAContext():
            return True
        graph = getattr(graph, "outer_graph", None)
    return False

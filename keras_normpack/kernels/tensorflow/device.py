"""What TensorFlow may run on."""

import tensorflow as tf


def only_cpu_visible() -> bool:
    """Tells whether TensorFlow sees no device but processors; it asks without starting the runtime."""
    return all(device.device_type == "CPU" for device in tf.config.get_visible_devices())

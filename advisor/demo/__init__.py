"""The main job from end to end on real data: train as written, advise, rewrite, train by the plan, ship to TFLite."""

from advisor.demo.data import ImageData, load_images
from advisor.demo.errors import DemoDataError
from advisor.demo.run import Comparison, DemoResult, run_demo

__all__ = ["Comparison", "DemoDataError", "DemoResult", "ImageData", "load_images", "run_demo"]

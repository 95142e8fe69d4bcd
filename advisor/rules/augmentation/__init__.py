"""Rules about augmentation."""

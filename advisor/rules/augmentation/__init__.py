"""Rules on augmentation and transfer."""

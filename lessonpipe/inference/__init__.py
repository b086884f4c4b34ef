"""From a model folder and pictures to restored pictures."""

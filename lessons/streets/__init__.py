"""Streets, every pixel named (CamVid's 12 classes): a U-Net whose answers are classes."""

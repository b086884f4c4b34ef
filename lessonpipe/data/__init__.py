"""Photos on the disk, their pairs, and the batches made of them."""

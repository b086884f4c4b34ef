"""What is done: one file a stage, each with its Params and its run()."""

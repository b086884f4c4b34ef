"""The lesson's other systems, each in its own room: they use lessonpipe, and never each other."""

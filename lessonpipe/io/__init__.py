"""Files that are whole or absent, storage, transfer between machines, progress."""

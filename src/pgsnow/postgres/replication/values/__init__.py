"""The values of changes in the log: where they are in the messages, and what Arrow arrays they become."""

"""Other tools that do the same job, each in an environment of its own, against the same emulator."""

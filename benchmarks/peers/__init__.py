"""Other tools that do the same job, each in its own virtual environment, against the same emulator."""

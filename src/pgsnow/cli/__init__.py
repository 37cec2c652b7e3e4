"""The command line, a thin layer over the operations. Heavy modules are imported inside the commands, so that
help is fast."""

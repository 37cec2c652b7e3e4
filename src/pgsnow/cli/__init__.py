"""The command line: a thin skin over `sync`. Commands import what is heavy in their bodies: help is quick."""

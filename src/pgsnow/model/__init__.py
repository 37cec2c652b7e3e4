"""The ground floor: frozen values and pure functions. Nothing here talks to a network, a file or a clock."""

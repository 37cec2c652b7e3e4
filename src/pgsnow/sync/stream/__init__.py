"""Tables with `mode: log`: their changes are read from the source's write-ahead log, once a tick for all of them."""

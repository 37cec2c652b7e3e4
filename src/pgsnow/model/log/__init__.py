"""Values of reading the source's write-ahead log (`mode: log`)."""

"""Analysis of a reader study: from its stored rows to figures with intervals. Draws and writes nothing."""

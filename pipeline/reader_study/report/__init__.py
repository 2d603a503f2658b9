"""The report of a reader study: sentences, tables, figures, and the files that hold them."""

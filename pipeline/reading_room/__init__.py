"""The reading room: a small web application that shows a study to its readers, blind first."""

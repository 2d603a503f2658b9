"""The commands, a function each. They import the rooms inside themselves, so that help is instant."""

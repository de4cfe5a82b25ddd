"""An application with one model of everything, for its migrations."""

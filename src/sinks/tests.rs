//! Sinks as a whole, on a real journal.

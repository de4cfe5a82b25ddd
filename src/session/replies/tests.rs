//! Answers matched to what was asked.

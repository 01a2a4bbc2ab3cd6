//! Patterns against what stock Borg says.

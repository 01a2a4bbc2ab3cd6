//! Fixtures for tests: trees, golden repositories, stock Borg.

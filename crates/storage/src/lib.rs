//! The few file operations a repository needs: local directory, memory, faulty, recording.

//! Messages against what stock Borg sent and received, and back.

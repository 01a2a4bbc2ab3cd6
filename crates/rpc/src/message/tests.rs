//! Messages against what stock Borg sent and received, against themselves, and against bytes nobody should send.

mod calls;
mod frames;
mod vectors;

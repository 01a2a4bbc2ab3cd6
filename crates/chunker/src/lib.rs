//! Bytes to cut points: buzhash and fixed-size chunkers with the cut points of Borg 1.4.

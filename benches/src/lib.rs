//! Generated trees and timing for comparisons with stock Borg.

#![no_std]
//! What the examples share: a board. To port them, replace the folder `board`, and nothing else.

/// A line of log: text, or a defmt frame. Arguments are positional.
#[cfg(all(feature = "text", not(feature = "defmt")))]
#[macro_export]
macro_rules! say { ($($arg:tt)*) => { $crate::board::hprintln!($($arg)*) } }
/// A line of log: text, or a defmt frame. Arguments are positional.
#[cfg(feature = "defmt")]
#[macro_export]
macro_rules! say { ($($arg:tt)*) => { defmt::println!($($arg)*) } }
/// A line of log that nobody reads.
#[cfg(not(any(feature = "text", feature = "defmt")))]
#[macro_export]
macro_rules! say { ($text:literal $(, $arg:expr)* $(,)?) => {{ let _ = ($(&$arg,)*); }} }

pub mod board;

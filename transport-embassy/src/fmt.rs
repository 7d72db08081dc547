//! Log macros: to `log`, to `defmt`, to both or to nothing, by feature. Arguments are positional, for both.

macro_rules! emit_log {
    ($level:ident, $text:literal $(, $arg:expr)* $(,)?) => {{
        #[cfg(feature = "log")]
        ::log::$level!($text $(, $arg)*);
        #[cfg(feature = "defmt")]
        ::defmt::$level!($text $(, $arg)*);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        { let _ = ($(&$arg,)*); }
    }};
}

macro_rules! debug { ($($arg:tt)*) => { emit_log!(debug, $($arg)*) }; }
macro_rules! warn { ($($arg:tt)*) => { emit_log!(warn, $($arg)*) }; }

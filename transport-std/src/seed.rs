//! Seeds for the machines' randomness.

/// A seed from the system's randomness.
///
/// # Errors
/// The system has none, which does not happen on a host that has finished booting.
pub fn seed() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

//! Values of flags that more than one subcommand takes.

use std::time::Duration;

use rserpool_core::wire::{Lifetime, Policy};
use rserpool_core::{PeId, Rate, ServerId};
use rserpool_std::AsapListen;

/// The longest time that a flag takes, in hours. No clock overflows with it.
const MAX_HOURS: u32 = 1_000_000;

/// `500ms`, `30s`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ if number.is_empty() => return Err(NO_DURATION.to_owned()),
        _ => return Err(format!("unknown unit '{unit}'; use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| NO_DURATION.to_owned())?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| duration.as_secs() <= u64::from(MAX_HOURS) * 3600)
        .ok_or_else(|| format!("too long; at most {MAX_HOURS}h"))
}

const NO_DURATION: &str = "a number with ms, s, m or h is wanted, like 30s";

/// A duration that is not 0.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// `100/s`, with ten times as much at once; `100/s,250`; or `off` for no limit.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    if text == "off" {
        return Ok(Rate::UNLIMITED);
    }
    let (often, burst) = text.split_once(',').map_or((text, None), |(often, burst)| (often, Some(burst)));
    let parsed = often.strip_suffix("/s").and_then(|often| often.parse().ok()).map(Rate::per_second);
    let parsed = match burst {
        None => parsed,
        Some(burst) => parsed.and_then(|rate| Some(Rate { burst: burst.parse().ok()?, ..rate })),
    };
    let usable = |rate: &Rate| (1..=1_000_000).contains(&rate.per_second) && rate.burst > 0;
    parsed.filter(usable).ok_or_else(|| {
        "off, N/s or N/s,BURST is wanted, like 100/s or 100/s,250, with N from 1 to 1000000 and BURST at least 1"
            .to_owned()
    })
}

/// A pool handle: it has to fit into a message, which has other things to say too.
pub(crate) fn pool_handle(text: &str) -> Result<String, String> {
    const MAX: usize = 65_000;
    match text.len() {
        1..=MAX => Ok(text.to_owned()),
        0 => Err("a pool handle has at least one character".to_owned()),
        len => Err(format!("a pool handle has at most {MAX} bytes; these are {len}")),
    }
}

/// A 32-bit number, decimal or with `0x`.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a number from 0 to 4294967295 is wanted, or 0x0 to 0xffffffff".to_owned())
}

/// A pool element identifier.
pub(crate) fn pe_id(text: &str) -> Result<PeId, String> {
    number(text).map(PeId)
}

/// A registrar identifier, which is not 0.
pub(crate) fn server_id(text: &str) -> Result<ServerId, String> {
    match number(text)? {
        0 => Err("0 means \"no registrar\"; take 1 to 0xffffffff".to_owned()),
        id => Ok(ServerId(id)),
    }
}

/// Where a pool element listens for registrars: `auto`, `off`, a port, or an address with or without one.
pub(crate) fn asap_listen(text: &str) -> Result<AsapListen, String> {
    let any_port = |ip: std::net::IpAddr| AsapListen::At((ip, 0).into());
    match text {
        "auto" => Ok(AsapListen::Auto { port: 0 }),
        "off" => Ok(AsapListen::Off),
        _ => match (text.parse(), text.parse()) {
            (Ok(port), _) => Ok(AsapListen::Auto { port }),
            (_, Ok(address)) => Ok(AsapListen::At(address)),
            _ => text.parse().map(any_port).map_err(|_| {
                "auto, off, PORT, ADDRESS or ADDRESS:PORT is wanted, like 3864 or 192.0.2.7:3864".to_owned()
            }),
        },
    }
}

/// Seconds of life, at least 1, or `infinite`.
pub(crate) fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "infinite" {
        return Ok(Lifetime::INFINITE);
    }
    let seconds = duration(text)?.as_secs();
    if seconds == 0 {
        return Err("a registration lives for at least 1s".to_owned());
    }
    Ok(Lifetime::from_secs(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

/// The policies and their values, for help texts.
pub(crate) const POLICIES: &str = "\
rr, wrr:WEIGHT, rand, wrand:WEIGHT, prio:PRIORITY, lu:LOAD, lud:LOAD:STEP, plu:LOAD:STEP, rlu:LOAD; \
LOAD and STEP as 0% to 100%, or 0 to 0xffffffff";

/// A policy and its values, as in [`POLICIES`].
pub(crate) fn policy(text: &str) -> Result<Policy<'static>, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let values: Vec<u32> = parts.map(value).collect::<Result<_, _>>()?;
    let wanted = |count: &str| Err(format!("the policy '{name}' takes {count}; the policies: {POLICIES}"));
    match (name, values.as_slice()) {
        ("rr", []) => Ok(Policy::RoundRobin),
        ("rand", []) => Ok(Policy::Random),
        ("wrr", [weight]) => Ok(Policy::WeightedRoundRobin { weight: *weight }),
        ("wrand", [weight]) => Ok(Policy::WeightedRandom { weight: *weight }),
        ("prio", [priority]) => Ok(Policy::Priority { priority: *priority }),
        ("lu", [load]) => Ok(Policy::LeastUsed { load: *load }),
        ("rlu", [load]) => Ok(Policy::RandomizedLeastUsed { load: *load }),
        ("lud", [load, degradation]) => Ok(Policy::LeastUsedDegradation { load: *load, degradation: *degradation }),
        ("plu", [load, degradation]) => Ok(Policy::PriorityLeastUsed { load: *load, degradation: *degradation }),
        ("rr" | "rand", _) => wanted("no value"),
        ("wrr" | "wrand" | "prio" | "lu" | "rlu", _) => wanted("one value"),
        ("lud" | "plu", _) => wanted("two values"),
        _ => Err(format!("unknown policy '{name}'; the policies: {POLICIES}")),
    }
}

/// A number, or a share of 0xffffffff in per cent.
fn value(text: &str) -> Result<u32, String> {
    let Some(percent) = text.strip_suffix('%') else { return number(text) };
    match percent.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 % of 32 bits")]
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent / 100.0 * f64::from(u32::MAX)) as u32),
        _ => Err(format!("'{text}' is not 0% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(duration("5parsec").unwrap_err().contains("unknown unit 'parsec'"));
        assert!(duration("soon").unwrap_err().contains("number"));
        assert!(duration("-5s").unwrap_err().contains("number"));
        assert!(duration("99999999999999999999h").unwrap_err().contains("at most"));
        assert!(positive_duration("0ms").is_err());
        assert!(duration("s").unwrap_err().contains("number"));
    }

    #[test]
    fn rates_are_per_second_and_have_a_burst() {
        assert_eq!(rate("100/s"), Ok(Rate { per_second: 100, burst: 1_000 }));
        assert_eq!(rate("100/s,250"), Ok(Rate { per_second: 100, burst: 250 }));
        assert_eq!(rate("off"), Ok(Rate::UNLIMITED));
        for wrong in ["", "100", "0/s", "1000001/s", "-1/s", "100/s,0", "100/s,", "/s", "100/m", "4294967296/s", "on"] {
            assert!(rate(wrong).unwrap_err().contains("off, N/s or N/s,BURST"), "{wrong}");
        }
    }

    #[test]
    fn policies_have_their_values() {
        assert_eq!(policy("rr"), Ok(Policy::RoundRobin));
        assert_eq!(policy("lu:50%"), Ok(Policy::LeastUsed { load: u32::MAX / 2 }));
        assert_eq!(policy("lud:0x10:1"), Ok(Policy::LeastUsedDegradation { load: 16, degradation: 1 }));
        assert!(policy("lu").unwrap_err().contains("takes one value"));
        assert!(policy("best").unwrap_err().contains("unknown policy 'best'"));
        assert!(policy("lu:101%").unwrap_err().contains("0% to 100%"));
    }
}

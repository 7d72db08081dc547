//! rsplib's view of a handlespace: `hsdump` plays a peer, and prints what it is told.
//!
//! The registrar believes for some seconds that this peer exists. So do not ask shortly before a takeover.

use std::collections::BTreeMap;

use rserpool_tests::lab::{self, Host};

/// A pool element as rsplib shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// The identifier of its home registrar.
    pub(crate) home: u32,
    /// The name of its pool's policy.
    pub(crate) policy: String,
    /// The policy's type and values, as they are shown.
    pub(crate) values: String,
    /// Its addresses for users.
    pub(crate) user_transport: String,
    /// In milliseconds.
    pub(crate) life: u32,
}

/// Elements by pool and identifier.
pub(crate) type Handlespace = BTreeMap<(String, u32), Element>;

/// What `hsdump` writes about the registrar on a host.
#[track_caller]
fn ask(from: Host<'_>, registrar: u8) -> String {
    let at = std::net::SocketAddr::new(from.sibling(registrar).ip(), 9901).to_string();
    from.run("hsdump", &[&at]).text
}

/// What the registrar on a host tells a peer, as soon as it tells anything.
#[track_caller]
pub(crate) fn dump(from: Host<'_>, registrar: u8) -> Handlespace {
    until(from, registrar, "handlespace", |_| true)
}

/// Asks until the handlespace is as wanted.
#[track_caller]
pub(crate) fn until(from: Host<'_>, registrar: u8, what: &str, wanted: impl Fn(&Handlespace) -> bool) -> Handlespace {
    let deadline = std::time::Instant::now() + lab::HANG;
    loop {
        let text = ask(from, registrar);
        let seen = parse(&text);
        match &seen {
            Some(seen) if wanted(seen) => return seen.clone(),
            _ => {}
        }
        assert!(std::time::Instant::now() < deadline, "registrar {registrar} has no {what}, but {seen:#?}\n{text}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

/// Who is the home of each element.
pub(crate) fn homes(space: &Handlespace) -> BTreeMap<(String, u32), u32> {
    space.iter().map(|(key, element)| (key.clone(), element.home)).collect()
}

/// `None`: it was told nothing, perhaps since it is not known as a peer yet.
fn parse(text: &str) -> Option<Handlespace> {
    let mut space = Handlespace::new();
    let (mut pool, mut policy, mut key) = (String::new(), String::new(), None);
    if !text.contains("*-- Index:") {
        return None;
    }
    // There are a list of peers before, and other lists of the same elements behind.
    let elements = text.lines().map(str::trim).skip_while(|line| !line.starts_with("*-- Index:"));
    for line in elements.take_while(|line| !line.starts_with("*-- Selection")) {
        let quoted: Vec<_> = line.split('"').collect();
        if let ["+-- Pool ", name, ", Policy ", its_policy, ..] = quoted[..] {
            (pool, policy) = (name.to_owned(), its_policy.to_owned());
        } else if let Some(rest) = line.strip_prefix("- idx:#") {
            let id = rest.split('$').nth(1).and_then(hex).expect("an identifier");
            let element = Element {
                home: 0,
                policy: policy.clone(),
                values: String::new(),
                user_transport: String::new(),
                life: 0,
            };
            space.insert((pool.clone(), id), element);
            key = Some((pool.clone(), id));
        }
        let Some(element) = key.as_ref().and_then(|key| space.get_mut(key)) else { continue };
        if let Some(home) = line.split("home=$").nth(1) {
            element.home = hex(home).expect("an identifier");
            let life = line.split("life=").nth(1).and_then(|rest| rest.split("ms").next());
            element.life = life.and_then(|life| life.parse().ok()).expect("a life");
        } else if line.starts_with("t=$") {
            line.clone_into(&mut element.values);
        } else if let Some(transport) = line.strip_prefix("userT: ") {
            transport.clone_into(&mut element.user_transport);
        }
    }
    Some(space)
}

fn hex(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    u32::from_str_radix(&text[..end], 16).ok()
}

//! Scenarios: everything that a run is, drawn from its seed.

use std::time::Duration;

use rserpool_core::{EndpointConfig, EnrpConfig, Instant, RegistrarConfig};

use super::bounds::Bounds;
use super::net::{Breach, NetConfig};
use super::rng::Rng;

/// How registrars come to know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Each is configured with all.
    Mesh,
    /// Each is configured with those before it.
    Ascending,
    /// By multicast only.
    Multicast,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub registrars: usize,
    /// Hosts with pool elements, and how many elements each has at most.
    pub element_hosts: usize,
    pub elements_per_host: usize,
    pub users: usize,
    pub pools: usize,
    pub topology: Topology,
    /// Of a thousand element hosts, so many know one registrar only.
    pub knows_one: u64,
    pub fixed_storage: bool,
    pub net: NetConfig,
    pub registrar: RegistrarConfig,
    pub endpoint: EndpointConfig,
    pub lifetime: Duration,
    /// The mean time between two acts of an application; `None`: there is no more than the first registration.
    pub churn: Option<Duration>,
    /// The elements stay, whatever else an application does.
    pub steady: bool,
    /// The mean time between two resolutions of a user.
    pub demand: Duration,
    pub faults: Vec<Fault>,
    /// When the load and the faults are over.
    pub quiet_at: Instant,
    /// When the run ends.
    pub ends_at: Instant,
}

/// A fault, and when.
#[derive(Clone, Debug)]
pub struct Fault {
    pub at: Instant,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A registrar's process ends without a word; its host closes the associations.
    Crash(usize),
    /// A registrar's host vanishes.
    Vanish(usize),
    /// It comes back, with the identifier that it had or with a new one.
    Restart {
        registrar: usize,
        same_id: bool,
    },
    /// A registrar leaves in good order.
    Leave(usize),
    /// A registrar's process does nothing for a while.
    Freeze {
        registrar: usize,
        until: Instant,
    },
    Open {
        name: u64,
        breach: Spot,
    },
    Heal {
        name: u64,
    },
    /// All associations between two registrars are reset.
    Reset(usize, usize),
    /// A registrar reads slowly, or as fast as ever again.
    Slow {
        registrar: usize,
        rate: Option<u64>,
    },
}

/// Where it breaks; nodes are chosen when it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    Is(Breach),
    Registrar {
        registrar: usize,
        mute: bool,
    },
    OneWay {
        from: usize,
        to: usize,
    },
    /// Any host, by a number.
    AnyHost(u64),
}

/// Which kind of run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Faults and churn.
    #[default]
    Rough,
    /// Churn, and nothing breaks.
    Calm,
    /// Registrars crash one after the other, and come back; nothing else breaks.
    Takeovers,
    /// No churn; registrars restart.
    Joins,
    /// Registrars stand still for a while, one after the other; the elements stay, and change their policy values only.
    Stalls,
}

impl Mood {
    pub const ALL: [(&'static str, Mood); 5] = [
        ("rough", Mood::Rough),
        ("calm", Mood::Calm),
        ("takeovers", Mood::Takeovers),
        ("joins", Mood::Joins),
        ("stalls", Mood::Stalls),
    ];

    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, mood)| *mood)
    }
}

impl Scenario {
    pub fn random(seed: u64, mood: Mood) -> Self {
        let root = Rng::new(seed);
        let mut rng = root.fork(1);
        // How much faster than the RFCs' defaults.
        let speed = rng.pick(&[1, 1, 2, 5, 10]);
        let s = |secs: u64| Duration::from_millis(secs * 1000 / speed);
        let lossy = rng.per_mille(500);
        let latency = Duration::from_millis(rng.pick(&[2, 10, 50, 100]) / speed + 1);
        let net = NetConfig {
            latency: (latency / 10, latency),
            jitter: latency / 2,
            loss: if lossy { rng.pick(&[10, 50, 200]) } else { 0 },
            duplication: if lossy { 50 } else { 0 },
            retransmission: s(1) / 20,
            transport_timeout: rng.pick(&[s(10), s(30), s(90)]),
            heartbeat: s(60),
            connect_timeout: rng.pick(&[s(3), s(10), s(20)]),
        };
        let mut registrar = RegistrarConfig {
            keep_alive_interval: s(30),
            keep_alive_timeout: s(5),
            lost_association_grace: if rng.per_mille(300) { s(3) } else { Duration::ZERO },
            enrp: EnrpConfig {
                peer_heartbeat_cycle: s(30),
                max_time_last_heard: s(61),
                max_time_no_response: s(5),
                mentor_discovery: s(2),
                mentor_retry: s(2),
                resync_interval: s(5),
                leave_timeout: s(5),
                table_page_len: rng.pick(&[64, 256, 1024, 8192]),
                ..EnrpConfig::new()
            },
            ..RegistrarConfig::new()
        };
        let endpoint = EndpointConfig {
            t1_enrp_request: s(15),
            t2_registration: s(30),
            t3_deregistration: s(30),
            t4_reregistration: s(600),
            t5_server_hunt: s(10),
            retran_max: s(60),
            stale_cache_value: s(30),
            ..EndpointConfig::new()
        };
        let topology = rng.pick(&[Topology::Mesh, Topology::Mesh, Topology::Ascending, Topology::Multicast]);
        registrar.enrp.multicast = topology == Topology::Multicast;
        let registrars = match mood {
            Mood::Rough => rng.range(1, 7) as usize,
            _ => rng.range(3, 5) as usize,
        };
        let mut scenario = Scenario {
            seed,
            registrars,
            element_hosts: rng.range(1, 12) as usize,
            elements_per_host: rng.range(1, 3) as usize,
            users: rng.range(1, 6) as usize,
            pools: rng.range(1, 4) as usize,
            topology,
            knows_one: rng.pick(&[0, 300, 1000]),
            fixed_storage: rng.per_mille(200),
            net,
            registrar,
            endpoint,
            lifetime: s(rng.pick(&[60, 120, 300])),
            churn: (mood != Mood::Joins).then(|| s(rng.pick(&[30, 120, 600]))),
            steady: mood == Mood::Stalls,
            demand: s(rng.pick(&[5, 20])),
            faults: Vec::new(),
            quiet_at: Instant::ZERO,
            ends_at: Instant::ZERO,
        };
        let bounds = scenario.bounds();
        let mut rng = root.fork(2);
        let end = scenario.schedule(mood, &mut rng, bounds);
        scenario.quiet_at = end;
        scenario.ends_at = end + bounds.settled + bounds.settled + s(120);
        scenario
    }

    /// Draws the faults. Gives when they are over.
    fn schedule(&mut self, mood: Mood, rng: &mut Rng, Bounds { settled, audit, .. }: Bounds) -> Instant {
        let unit = self.registrar.enrp.max_time_last_heard + self.registrar.enrp.max_time_no_response;
        let mut at = Instant::ZERO + unit;
        let n = self.registrars;
        if mood == Mood::Calm {
            return at + settled + settled + settled;
        }
        let quiet_before = if mood == Mood::Rough { Duration::ZERO } else { settled };
        at = at + quiet_before;
        let mut down = vec![false; n];
        for episode in 0..rng.range(2, 7) {
            let mut end = at;
            let faults = if mood == Mood::Rough { rng.range(1, 3) } else { 1 };
            for k in 0..faults {
                let begin = at + rng.up_to(unit);
                let over = begin + if rng.per_mille(500) { rng.up_to(unit / 4) } else { rng.up_to(unit * 3) };
                let r = rng.index(n);
                let name = episode * 16 + k;
                let kind = match mood {
                    Mood::Rough => rng.below(10),
                    Mood::Stalls => 3,
                    _ => rng.below(2),
                };
                let mut push = |at, what| self.faults.push(Fault { at, what });
                match kind {
                    0..=2 if !down[r] => {
                        let what = match kind {
                            0 => What::Crash(r),
                            1 => What::Vanish(r),
                            _ => What::Leave(r),
                        };
                        push(begin, what);
                        // Somebody has to be there.
                        let alone = down.iter().filter(|down| !**down).count() == 1;
                        if alone || mood != Mood::Takeovers || rng.per_mille(300) {
                            let back = if mood == Mood::Joins { begin + settled + unit } else { over };
                            push(back, What::Restart { registrar: r, same_id: rng.per_mille(250) });
                            end = end.max(back);
                        } else {
                            down[r] = true;
                        }
                    }
                    0..=2 => {
                        down[r] = false;
                        push(begin, What::Restart { registrar: r, same_id: rng.per_mille(250) });
                    }
                    3 => push(begin, What::Freeze { registrar: r, until: over }),
                    4 => push(begin, What::Reset(r, rng.index(n))),
                    5 => {
                        push(begin, What::Slow { registrar: r, rate: Some(rng.range(200, 5_000)) });
                        push(over, What::Slow { registrar: r, rate: None });
                    }
                    _ => {
                        let breach = match rng.below(6) {
                            0 => Spot::Is(Breach::Partition { salt: rng.next() }),
                            1 => Spot::Is(Breach::Split { salt: rng.next() }),
                            2 => Spot::Registrar { registrar: r, mute: false },
                            3 => Spot::Registrar { registrar: r, mute: true },
                            4 => Spot::OneWay { from: r, to: rng.index(n) },
                            _ => Spot::AnyHost(rng.next()),
                        };
                        push(begin, What::Open { name, breach });
                        push(over, What::Heal { name });
                    }
                }
                end = end.max(begin).max(over);
            }
            // Some times it is mended before the next thing breaks, and some times it is not.
            let pause = match mood {
                Mood::Rough if rng.per_mille(700) => rng.up_to(unit),
                Mood::Stalls => audit + unit,
                _ => settled + unit,
            };
            at = end + pause;
        }
        self.faults.sort_by_key(|fault| fault.at);
        at
    }

    /// All registrars' storage has room for so many elements.
    pub fn most_elements(&self) -> usize {
        self.element_hosts * self.elements_per_host
    }
}

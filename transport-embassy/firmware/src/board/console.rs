//! Semihosting: the host's command line for us, and our exit status for the host.

use core::net::Ipv4Addr;

use cortex_m_semihosting::debug;
use static_cell::ConstStaticCell;

/// What the image was started with: `-semihosting-config enable=on,target=native,arg=image,arg=ip=10.77.0.2,...`. A
/// product has it in its flash.
pub struct Args {
    /// This chip's address, in a network of 256.
    pub ip: Ipv4Addr,
    /// The host's.
    pub host: Ipv4Addr,
    /// The Ethernet address; `None` for the one that the chip has.
    pub mac: Option<[u8; 6]>,
    /// What is random. A product takes it from a source of entropy.
    pub seed: u64,
    /// Whether to look for registrars by multicast, and not to know any.
    pub multicast: bool,
    /// Whether the host has another registrar, which is a peer.
    pub peer: bool,
    /// For how long a registration lasts, in seconds.
    pub lifetime: u32,
    /// How long to run, in seconds; 0 for ever.
    pub run: u64,
    /// How often to wake up for nothing, in milliseconds; 0 for never. Where QEMU jumps over the time that a chip
    /// sleeps, this is how far it can jump.
    pub beat: u64,
}

impl Args {
    pub(super) fn from_host() -> Args {
        let mut args = Args {
            ip: Ipv4Addr::new(10, 77, 0, 2),
            host: Ipv4Addr::new(10, 77, 0, 1),
            mac: None,
            seed: 1,
            multicast: false,
            peer: false,
            lifetime: 300,
            run: 0,
            beat: 0,
        };
        for word in command_line().split_ascii_whitespace() {
            args.take(word);
        }
        args
    }

    fn take(&mut self, word: &str) {
        fn set<T: core::str::FromStr>(place: &mut T, text: &str) {
            match text.parse() {
                Ok(value) => *place = value,
                Err(_) => panic!("a bad argument"),
            }
        }
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "ip" => set(&mut self.ip, value),
            "host" => set(&mut self.host, value),
            "seed" => set(&mut self.seed, value),
            "multicast" => set(&mut self.multicast, value),
            "peer" => set(&mut self.peer, value),
            "lifetime" => set(&mut self.lifetime, value),
            "beat" => set(&mut self.beat, value),
            "run" => set(&mut self.run, value),
            "mac" => {
                let mut mac = [0; 6];
                for (byte, hex) in mac.iter_mut().zip(value.split(':')) {
                    *byte = u8::from_str_radix(hex, 16).unwrap_or_default();
                }
                self.mac = Some(mac);
            }
            _ => {}
        }
    }
}

/// SYS_GET_CMDLINE.
fn command_line() -> &'static str {
    const GET_COMMAND_LINE: usize = 0x15;
    static TEXT: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    let text = TEXT.take();
    let mut block = [text.as_mut_ptr() as usize, text.len()];
    // SAFETY: the block says where the text may be written, and how long it may be; both are ours.
    let failed = unsafe { cortex_m_semihosting::syscall1(GET_COMMAND_LINE, block.as_mut_ptr() as usize) } != 0;
    if failed {
        return "";
    }
    let text: &'static [u8] = text;
    let text = text.split(|byte| *byte == 0).next().unwrap_or(&[]);
    core::str::from_utf8(text).unwrap_or("")
}

/// Ends the emulation.
pub fn exit(well: bool) -> ! {
    debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

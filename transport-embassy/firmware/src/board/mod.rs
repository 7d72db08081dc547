//! The board MPS2 AN385 (Cortex-M3), as QEMU plays it: network, clock, executor, and the host's console.

mod clock;
mod console;
mod executor;
mod lan9118;

#[cfg(feature = "text")]
#[doc(hidden)]
pub use cortex_m_semihosting::hprintln;

use core::net::SocketAddr;

use cortex_m_rt::{ExceptionFrame, exception};
use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use static_cell::StaticCell;

pub use console::{Args, exit};
use lan9118::Lan9118;

/// Interrupt numbers.
const TIMER_IRQ: i16 = 8;
const ETHERNET_IRQ: i16 = 13;

/// Starts everything, and then the application. `resources` says how many sockets there are.
pub fn start<const SOCKETS: usize>(
    resources: &'static mut StackResources<SOCKETS>,
    application: impl FnOnce(Spawner, Stack<'static>, &'static Args),
) -> ! {
    static EXECUTOR: StaticCell<executor::Executor> = StaticCell::new();
    static ARGS: StaticCell<Args> = StaticCell::new();
    clock::start();
    enable(TIMER_IRQ);
    EXECUTOR.init(executor::Executor::new()).run(|spawner| {
        let args: &'static Args = ARGS.init(Args::from_host());
        let nic = Lan9118::start(args.mac);
        enable(ETHERNET_IRQ);
        let (stack, runner) = embassy_net::new(nic, network(args), resources, args.seed);
        if let Ok(task) = network_task(runner) {
            spawner.spawn(task);
        }
        application(spawner, stack, args);
    })
}

fn network(args: &Args) -> Config {
    let address = Ipv4Cidr::new(args.ip, 24);
    Config::ipv4_static(StaticConfigV4 { address, gateway: None, dns_servers: Default::default() })
}

#[embassy_executor::task]
async fn network_task(mut runner: Runner<'static, Lan9118>) -> ! {
    runner.run().await
}

impl Args {
    /// The registrar on the host.
    pub fn registrar(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Address::from(self.host).into(), 3863)
    }

    /// A port of this chip.
    pub fn service(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip.into(), port)
    }
}

#[derive(Clone, Copy)]
struct Interrupt(u16);

// SAFETY: the number does not change.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

fn enable(irq: i16) {
    // SAFETY: no code relies on the interrupt being masked; its handler only wakes tasks.
    unsafe { cortex_m::peripheral::NVIC::unmask(Interrupt(irq.unsigned_abs())) }
}

#[exception]
unsafe fn DefaultHandler(irq: i16) {
    match irq {
        TIMER_IRQ => clock::on_interrupt(),
        ETHERNET_IRQ => lan9118::on_interrupt(),
        other => panic!("interrupt {}", other),
    }
}

#[exception]
unsafe fn HardFault(_frame: &ExceptionFrame) -> ! {
    panic!("hard fault")
}

#[cfg(all(feature = "text", not(feature = "defmt")))]
use panic_semihosting as _;

/// Text between defmt's frames would be lost, so a panic is one of them.
#[cfg(feature = "defmt")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    exit(false)
}

/// Says nothing: the images that are measured.
#[cfg(not(any(feature = "text", feature = "defmt")))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

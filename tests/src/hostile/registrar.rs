//! A registrar that does what it likes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::scene::Peer;

/// A registrar that follows a script with each connection, until the script returns.
pub struct BadRegistrar {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    /// Those that are open, so that no script waits when it is to end.
    open: Open,
    acceptor: Option<JoinHandle<()>>,
}

type Open = Arc<Mutex<BTreeMap<usize, TcpStream>>>;

impl BadRegistrar {
    /// The script is told when it is to end.
    ///
    /// # Panics
    /// It cannot listen.
    pub fn new(script: impl Fn(&mut Peer, &AtomicBool) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (connections, stopping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop, script) = (Arc::clone(&connections), Arc::clone(&stopping), Arc::new(script));
        let open = Open::default();
        let all = Arc::clone(&open);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let n = count.fetch_add(1, Ordering::AcqRel);
                let stream = stream.expect("a connection");
                let (stop, script, all) = (Arc::clone(&stop), Arc::clone(&script), Arc::clone(&all));
                lock(&all).insert(n, stream.try_clone().expect("a socket"));
                thread::spawn(move || {
                    let mut peer = Peer::over(stream);
                    script(&mut peer, &stop);
                    // Before the peer's own, so that the end of that is the end of the connection.
                    lock(&all).remove(&n);
                });
            }
        });
        BadRegistrar { address, connections, stopping, open, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, BTreeMap<usize, TcpStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for BadRegistrar {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Holds a connection until the other side ends it.
pub fn hold(peer: &mut Peer, stop: &AtomicBool) {
    let _ = peer.stream.set_read_timeout(Some(Duration::from_millis(20)));
    let mut chunk = [0; 4096];
    while !stop.load(Ordering::Acquire) {
        match peer.stream.read(&mut chunk) {
            Ok(0) => return,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock) => return,
            _ => {}
        }
    }
}

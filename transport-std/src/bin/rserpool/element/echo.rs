//! A service for demonstrations: sends back what comes in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::error::Error;

/// An echo service that runs as long as the process.
pub(super) struct Echo {
    address: SocketAddr,
}

impl Echo {
    pub(super) fn start(address: SocketAddr) -> Result<Self, Error> {
        let listener =
            TcpListener::bind(address).map_err(|error| Error::system(format_args!("listen on {address}"), error))?;
        let address = listener.local_addr().map_err(|error| Error::system("ask for the port", error))?;
        thread::Builder::new()
            .name("rserpool-echo".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    let served = stream.and_then(|stream| thread::Builder::new().spawn(move || echo(stream)));
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection is not served");
                    }
                }
            })
            .map_err(|error| Error::system("start a thread", error))?;
        Ok(Echo { address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(buffer.get(..count).unwrap_or_default())?,
        }
    }
}

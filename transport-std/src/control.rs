//! The control socket: how a running registrar is asked for its state, on the same host.
//!
//! A Unix socket that only its owner can use. A client sends one line, the number of elements that it wants to see at
//! most, and gets one line of JSON, a [`RegistrarStatus`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::status::RegistrarStatus;

/// How long a client may take to ask or to read.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a failure to accept (no file descriptors), how long until the next try.
const BACKOFF: Duration = Duration::from_millis(100);

/// The control socket of the registrar with this ASAP port: in `$XDG_RUNTIME_DIR`, else `/run` where that can be
/// written, else the directory for temporary files.
#[must_use]
pub fn default_path(asap_port: u16) -> PathBuf {
    let name = format!("rserpool-registrar-{asap_port}.sock");
    let run = Path::new("/run");
    let writable =
        |dir: &Path| dir.metadata().is_ok_and(|meta| meta.is_dir() && !meta.permissions().readonly()) && runs_as_root();
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join(name),
        _ if writable(run) => run.join(name),
        _ => std::env::temp_dir().join(name),
    }
}

/// Whether files that this process makes belong to root.
fn runs_as_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|meta| meta.uid() == 0)
}

/// Asks the registrar behind a control socket for its state, with at most `most` elements.
///
/// # Errors
/// Nobody listens there, or what comes is no status.
pub fn ask(path: &Path, most: usize) -> io::Result<RegistrarStatus> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE * 5))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    writeln!(stream, "{most}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the registrar does not answer"));
    }
    serde_json::from_str(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A control socket that is being served; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Which file the socket is: another registrar may have put its own in this place since.
    file: Option<(u64, u64)>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Serves `status`, which is given the number of elements to show and may fail when the registrar ends.
    pub(crate) fn open<F>(path: &Path, status: F) -> io::Result<Self>
    where
        F: Fn(usize) -> Option<RegistrarStatus> + Send + 'static,
    {
        let listener = bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let mut listener = mio::net::UnixListener::from_std(non_blocking(listener)?);
        let (wake, woken) = UnixStream::pair()?;
        let mut woken = mio::net::UnixStream::from_std(woken);
        let mut poll = Poll::new()?;
        poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
        // The wish to end comes by a socket of its own: the file may be gone by then.
        poll.registry().register(&mut woken, Token(1), Interest::READABLE)?;
        let thread = thread::Builder::new().name("rserpool-control".to_owned()).spawn(move || {
            let mut events = Events::with_capacity(4);
            while !events.iter().any(|event| event.token() == Token(1)) {
                let again = loop {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            if let Err(error) = serve(stream.into(), &status) {
                                tracing::debug!(%error, "a control client was not served");
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        // Whoever waits is signalled once only: come back by the clock.
                        Err(error) => {
                            tracing::debug!(%error, "a control client is not accepted yet");
                            break Some(BACKOFF);
                        }
                    }
                };
                match poll.poll(&mut events, again) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                        tracing::error!(%error, "the control socket is not served any more");
                        return;
                    }
                    _ => {}
                }
            }
            drop(woken);
        })?;
        Ok(ControlSocket { path: path.to_owned(), file: file_of(path), wake, thread: Some(thread) })
    }
}

/// A socket that a registrar left behind when it was killed is replaced; one that is in use, or a file that is no
/// socket, is not.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
            }
            match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                Err(error) => Err(error),
                Ok(_) => Err(io::Error::new(error.kind(), "another registrar uses it")),
            }
        }
        bound => bound,
    }
}

fn serve(mut stream: UnixStream, status: &impl Fn(usize) -> Option<RegistrarStatus>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&stream).take(64)).read_line(&mut line)?;
    let most = line.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    if let Some(status) = status(most) {
        let mut answer = serde_json::to_vec(&status)?;
        answer.push(b'\n');
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn non_blocking(listener: UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Which file is at a path.
fn file_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = self.wake.shutdown(Shutdown::Both);
        if self.file.is_some() && self.file == file_of(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

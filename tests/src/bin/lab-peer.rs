//! What the firmware's tests need on the host's side, in a network namespace of their own:
//!
//! - `echo PORT`: a service that sends back what it gets.
//! - `ask ADDRESS LINE [SECONDS]`: sends a line, prints the answer, keeps the connection for so long.
//! - `garbage PORT`: takes connections and sends no protocol at all.
//! - `relay LOSS% REORDER% A FROM_A TO_A B FROM_B TO_B ...`: Ethernet frames in datagrams between two ends, not all of
//!   them, and not in order. Ports: where it listens, and where the end listens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["echo", port] => echo(number(port)),
        ["ask", address, line] => ask(address, line, 0),
        ["ask", address, line, seconds] => ask(address, line, number(seconds).into()),
        ["garbage", port] => garbage(number(port)),
        ["relay", loss, reorder, a_in, a_out, b_in, b_out] => {
            let (a, b) = ((number(a_in), number(a_out)), (number(b_in), number(b_out)));
            relay(number(loss).into(), number(reorder).into(), a, b)
        }
        _ => Err(io::Error::other("what shall it be? see the source")),
    }
}

fn number(text: &str) -> u16 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn echo(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("ready");
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || {
            let mut buf = [0; 1024];
            while let Ok(len @ 1..) = stream.read(&mut buf) {
                if stream.write_all(&buf[..len]).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

fn ask(address: &str, line: &str, seconds: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut buf = [0; 1024];
    let len = stream.read(&mut buf)?;
    print!("{}", String::from_utf8_lossy(&buf[..len]));
    io::stdout().flush()?;
    thread::sleep(Duration::from_secs(seconds));
    Ok(())
}

fn garbage(port: u16) -> io::Result<()> {
    let mut rng = 0x2545_f491_4f6c_dd1d_u64;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("ready");
    for (round, stream) in listener.incoming().enumerate() {
        let mut stream = stream?;
        let mut bytes: Vec<u8> = (0..1 + next(&mut rng) % 600).map(|_| next(&mut rng) as u8).collect();
        if round % 2 == 1 {
            // What looks like a message, with whatever follows.
            let length = (bytes.len() as u16).max(4) & !3;
            bytes.resize(length.into(), 0);
            let [high, low] = length.to_be_bytes();
            (bytes[0], bytes[2], bytes[3]) = (1 + (round / 2 % 14) as u8, high, low);
        }
        let _ = stream.write_all(&bytes);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn next(rng: &mut u64) -> u64 {
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    *rng ^= *rng << 17;
    *rng
}

fn relay(loss: u64, reorder: u64, a: (u16, u16), b: (u16, u16)) -> io::Result<()> {
    let socket = |port| UdpSocket::bind(("127.0.0.1", port));
    let (from_a, from_b) = (socket(a.0)?, socket(b.0)?);
    let (to_a, to_b) = (from_a.try_clone()?, from_b.try_clone()?);
    println!("ready");
    let there = thread::spawn(move || one_way(1, loss, reorder, &from_a, &to_b, b.1));
    one_way(2, loss, reorder, &from_b, &to_a, a.1)?;
    there.join().unwrap()
}

fn one_way(seed: u64, loss: u64, reorder: u64, from: &UdpSocket, to: &UdpSocket, port: u16) -> io::Result<()> {
    let mut rng = seed;
    let mut held: Option<Vec<u8>> = None;
    let mut buf = [0; 2048];
    loop {
        // An end that is not there yet is told of as an error.
        let Ok((len, _)) = from.recv_from(&mut buf) else { continue };
        let dice = next(&mut rng) % 100;
        if dice < loss {
            continue;
        }
        if dice < loss + reorder && held.is_none() {
            held = Some(buf[..len].to_vec());
            continue;
        }
        let _ = to.send_to(&buf[..len], ("127.0.0.1", port));
        if let Some(late) = held.take() {
            let _ = to.send_to(&late, ("127.0.0.1", port));
        }
    }
}

#![allow(missing_docs, reason = "tests")]
//! `rserpool decode`, as its users see it.
#![cfg(feature = "cli")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const REGISTRATION: &str = "0100004c0009000c4563686f506f6f6c000a003cabcd00010000000000015f900004002495360001000100080afb0004\
                            00020014fd0002510000000000000000000000040008000800000001";
const VECTORS: &str = include_str!("../../tests/vectors/rsplib.txt");

fn rserpool(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rserpool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Status, standard output, standard error.
#[track_caller]
fn decode(args: &[&str], input: &[u8]) -> (i32, String, String) {
    let output = rserpool(&[&["decode"], args].concat(), input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn malformed(protocol: &str, hex: &str) -> String {
    let (status, out, err) = decode(&[protocol, hex], b"");
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    out[out.find("malformed: ").expect("a verdict")..].to_owned()
}

#[test]
fn a_registration() {
    let (status, out, err) = decode(&["asap", REGISTRATION], b"");
    let expected = "    \
    0  ASAP REGISTRATION                       76 bytes
    0    message type                          0x01  REGISTRATION (RFC 5352, 2.2.1)
    1    flags                                 0x00
    2    message length                        76
    4    Pool Handle                           0x0009  12 bytes
    8      handle                              \"EchoPool\"
   16    Pool Element                          0x000a  60 bytes
   20      PE identifier                       0xabcd0001
   24      home server identifier              0x00000000  none in particular
   28      registration life                   90000  seconds, 25 h; or 90s from rsplib, which counts milliseconds
   32      SCTP Transport                      0x0004  36 bytes
   36        port                              38198
   38        transport use                     0x0001  data plus control
   40        IPv4 Address                      0x0001  8 bytes
   44          address                         10.251.0.4
   48        IPv6 Address                      0x0002  20 bytes
   52          address                         fd00:251::4
   68      Policy                              0x0008  8 bytes
   72        policy type                       0x00000001  Round Robin
well-formed
";
    assert_eq!((status, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn a_presence_in_blanks_and_colons_on_standard_input() {
    let text =
        b"01 01 00 2c 1111:1112 0x11111111 000f0006ffff 0000\n000b0018 11111112 00040010 26ad0000 00010008 0afb0002";
    let (status, out, _) = decode(&["enrp", "-"], text);
    let expected = "    \
    0  ENRP PRESENCE                           44 bytes
    0    message type                          0x01  PRESENCE (RFC 5353, 2.1)
    1    flags                                 0x01
    1      R                                   1  an answer is required
    2    message length                        44
    4    Sending Server's ID                   0x11111112
    8    Receiving Server's ID                 0x11111111
   12    PE Checksum                           0x000f  6 bytes
   16      checksum                            0xffff  of no elements
   18    padding                               0000
   20    Server Information                    0x000b  24 bytes
   24      server identifier                   0x11111112
   28      SCTP Transport                      0x0004  16 bytes
   32        port                              9901  the registered port of ENRP
   34        transport use                     0x0000  data only
   36        IPv4 Address                      0x0001  8 bytes
   40          address                         10.251.0.2
well-formed
";
    assert_eq!((status, out.as_str()), (0, expected));
}

#[test]
fn an_error_shows_the_parameter_that_it_is_about() {
    let (status, out, _) = decode(&["asap", "0e000014000c00100001000c4123000861626364"], b"");
    let expected = "    \
    0  ASAP ERROR                              20 bytes
    0    message type                          0x0e  ERROR (RFC 5352, 2.2.14)
    1    flags                                 0x00
    2    message length                        20
    4    Operation Error                       0x000c  16 bytes
    8      Unrecognized parameter              0x0001  12 bytes
   12        unknown parameter                 0x4123  8 bytes  upper bits 01: stop and report  ~ a receiver that does \
                    not know this type stops here
   16          value                           61626364  \"abcd\"
well-formed
";
    assert_eq!((status, out.as_str()), (0, expected));
}

#[test]
fn loads_are_percentages() {
    let line = VECTORS.lines().find(|line| line.starts_with("asap") && line.contains("40000003")).unwrap();
    let (_, out, _) = decode(&["asap", line.split_whitespace().next_back().unwrap()], b"");
    assert!(out.contains("0x40000003  Priority Least Used\n"), "{out}");
    assert!(out.contains("load degradation                  0x40000000  25.00 %\n"), "{out}");
}

#[test]
fn what_rsplib_sent_is_well_formed() {
    let (status, out, _) = decode(&["-f", "-"], VECTORS.as_bytes());
    let lines: Vec<_> = out.lines().collect();
    let (sum, verdicts) = lines.split_last().unwrap();
    assert_eq!(status, 0, "{out}");
    assert!(verdicts.len() > 50 && verdicts.iter().all(|line| line.starts_with("ok ")), "{out}");
    assert!(verdicts.iter().all(|line| !line.contains("(is ")), "all have the name of their type: {out}");
    assert_eq!(*sum, format!("{} well-formed, 0 malformed", verdicts.len()));
}

#[test]
fn a_message_that_is_cut_off() {
    assert_eq!(
        malformed("asap", &REGISTRATION[..100]),
        "malformed: offset 2, ASAP REGISTRATION > message length: expected 76 bytes, but there are only 50\n"
    );
    assert_eq!(
        malformed("enrp", "05"),
        "malformed: offset 1, ENRP LIST_REQUEST > flags: expected 1 byte, but ENRP LIST_REQUEST ends after 0\n"
    );
}

#[test]
fn bytes_after_the_message() {
    assert_eq!(
        malformed("enrp", "0500000c111111111111111200"),
        "malformed: offset 12, ENRP LIST_REQUEST > more bytes: expected the end: the message is 12 bytes long, and its \
         padding\n"
    );
}

#[test]
fn a_length_that_reaches_too_far_or_not_far_enough() {
    assert_eq!(
        malformed("asap", "0500000c000900096563686f"),
        "malformed: offset 4, ASAP HANDLE_RESOLUTION > Pool Handle: its length is 9, but ASAP HANDLE_RESOLUTION ends \
         after 8 bytes\n  expected: Pool Handle holds: one byte or more\n"
    );
    assert!(malformed("asap", "0500000c000900036563686f").contains("its length is 3, expected at least 4"));
}

#[test]
fn an_address_of_the_wrong_length() {
    assert_eq!(
        malformed("asap", &REGISTRATION.replace("00010008", "00010007")),
        "malformed: offset 44, ASAP REGISTRATION > Pool Element > SCTP Transport > IPv4 Address > address: expected 4 \
         bytes, not 3\n  expected: IPv4 Address holds: 4 bytes\n"
    );
}

#[test]
fn a_policy_without_its_load() {
    assert_eq!(
        malformed("asap", &REGISTRATION.replace("0008000800000001", "0008000840000001")),
        "malformed: offset 68, ASAP REGISTRATION > Pool Element > Policy: Least Used has 4 bytes after its type, not 0\n  \
         expected: Policy holds: policy type (32 bits), the values of that policy\n"
    );
}

#[test]
fn a_parameter_that_is_missing_or_does_not_belong_there() {
    let holds = "  expected: HANDLE_RESOLUTION holds: Pool Handle, [Wanted Items]\n";
    assert_eq!(
        malformed("asap", "05000004"),
        format!("malformed: offset 0, ASAP HANDLE_RESOLUTION: Pool Handle is missing\n{holds}")
    );
    assert_eq!(
        malformed("asap", "0500000c000e000800000001"),
        format!(
            "malformed: offset 4, ASAP HANDLE_RESOLUTION > PE Identifier: PE Identifier does not belong here\n{holds}"
        )
    );
}

#[test]
fn an_unknown_parameter_stops_or_is_skipped() {
    assert!(malformed("asap", "0500001400090008656368 6f4123000800000000").starts_with(
        "malformed: offset 12, ASAP HANDLE_RESOLUTION > unknown parameter: unknown parameter type 0x4123\n"
    ));
    let (status, out, _) = decode(&["asap", "05000014000900086563686fc123000800000000"], b"");
    assert_eq!(status, 0);
    assert!(out.contains("0xc123  8 bytes  upper bits 11: skip and report\n"), "{out}");
    assert!(out.ends_with("well-formed; the unknown parameter at offset 12 is skipped and reported\n"), "{out}");
}

#[test]
fn an_unknown_message() {
    assert_eq!(
        malformed("enrp", "4b000004"),
        "malformed: offset 0, ENRP unknown message: unknown message type 0x4b\n  expected: a message type of ENRP, \
         0x01 to 0x0a\n"
    );
}

#[test]
fn json_for_scripts() {
    let (status, out, _) = decode(&["--json", "asap", "0500000d000900096563686f21"], b"");
    assert_eq!(status, 0);
    let verdict: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdict["message"], "HANDLE_RESOLUTION");
    assert_eq!(verdict["well_formed"], true);
    assert_eq!(verdict["tree"]["children"][3]["children"][0]["value"], "\"echo!\"");
    let (status, out, _) = decode(&["--json", "asap", "05000004"], b"");
    assert_eq!(status, 1);
    let verdict: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdict["error"]["kind"], "missing");
}

#[test]
fn bytes_on_standard_input() {
    let (status, out, _) = decode(&["asap", "--raw", "-"], &[5, 0, 0, 12, 0, 9, 0, 8, b'e', b'c', b'h', b'o']);
    assert_eq!(status, 0);
    assert!(out.contains("\"echo\""), "{out}");
}

#[test]
fn many_messages_give_a_line_each() {
    let (status, out, _) =
        decode(&["-f", "-"], b"# comment\n\nasap A 0500000c000900086563686f\nenrp LIST_REQUEST 05\n");
    assert_eq!(status, 1);
    assert_eq!(
        out,
        "ok   line    3  ASAP A (is HANDLE_RESOLUTION), 12 bytes\n\
         BAD  line    4  ENRP LIST_REQUEST, 1 bytes: offset 1, ENRP LIST_REQUEST > flags: expected 1 byte, but ENRP \
         LIST_REQUEST ends after 0\n\
         1 well-formed, 1 malformed\n"
    );
}

#[test]
fn a_wrong_usage_says_what_is_allowed() {
    let (status, _, err) = decode(&["asap", "05g0"], b"");
    assert_eq!(status, 2);
    assert!(err.starts_with("error: invalid value '05g0' for 'HEX': character 3, 'g', is no hex digit;"), "{err}");
    let (status, _, err) = decode(&["udp", "05"], b"");
    assert_eq!(status, 2);
    assert!(err.contains("possible values: asap, enrp"), "{err}");
    let (status, _, err) = decode(&["-f", "/nonexistent"], b"");
    assert_eq!(status, 3);
    assert!(err.starts_with("error: cannot read /nonexistent: "), "{err}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rserpool"))
        .args(["decode", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(VECTORS.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

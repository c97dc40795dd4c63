//! Every octet that the programs write, against frames that scapy made.

use crate::Lab;
use gate25_common::verdict::Direction;
use std::process::{Command, Stdio};

#[test]
fn every_frame_is_as_scapy_would_make_it() {
    let script = gate25_tests::workspace().join("tests/redirect/frames.py");
    // Debian's own Python, for which `cargo xtask setup` installs scapy.
    let output = Command::new("/usr/bin/python3")
        .arg(script)
        .stderr(Stdio::inherit())
        .output()
        .expect("python3 and python3-scapy (`cargo xtask setup` installs them)");
    assert!(output.status.success(), "frames.py: {}", output.status);
    let mut runner = Lab::new().runner;
    let mut faults = Vec::new();
    let mut steps = 0;
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let [direction, code, frame, expected, note] =
            line.splitn(5, ' ').collect::<Vec<_>>().try_into().expect("five words");
        let direction = if direction == "egress" { Direction::Egress } else { Direction::Return };
        let (frame, expected) = (octets(frame), octets(expected));
        let run = runner.run(direction, &frame).expect("a test-run");
        if run.code.label() != code || run.frame != expected {
            faults.push(format!(
                "{note}: {}\n  frame    {}\n  expected {}\n  seen     {}",
                run.code.label(),
                hex(&frame),
                hex(&expected),
                hex(&run.frame)
            ));
        }
        steps += 1;
    }
    assert!(steps > 1_500, "only {steps} steps");
    assert!(
        faults.is_empty(),
        "{} of {steps} steps:\n{}",
        faults.len(),
        faults[..faults.len().min(5)].join("\n")
    );
}

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("two digits")
        })
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

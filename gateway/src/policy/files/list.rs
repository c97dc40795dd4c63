//! A list file: one prefix a line; `#` begins a comment.

use crate::policy::problem::{Code, Fault, Position, Report};
use crate::policy::validate::prefix::{self, plain};
use crate::progress::{Step, note};
use ipnetwork::IpNetwork;
use rustc_hash::FxHashSet;
use std::path::Path;
use std::sync::Arc;

/// So often it is noted how far it is.
const NOTED: usize = 1 << 16;

/// The prefixes of a list; `None` when there is something wrong with it. Of other lists there were so many `before`.
pub(super) fn prefixes(
    file: &Path,
    octets: &[u8],
    before: usize,
    report: &mut Report,
) -> Option<Arc<Vec<IpNetwork>>> {
    let mut rest = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let (mut list, mut line, mut sound) = (Vec::new(), 0, true);
    while !rest.is_empty() {
        line += 1;
        if line % NOTED == 0 {
            note(Step::Read, before + list.len(), None);
        }
        if let Some((prefix, length)) = plain::line(rest) {
            list.push(prefix);
            rest = &rest[length..];
            continue;
        }
        let end = rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
        match explained(&rest[..end], line) {
            Ok(prefix) => list.extend(prefix),
            Err(fault) => {
                sound = false;
                report.refuse(file, fault);
            }
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    note(Step::Read, before + list.len(), None);
    list.shrink_to_fit();
    sound.then(|| list.into())
}

/// Where the wanted prefixes stand in a list that has nothing wrong with it, each as often as it is there; and as they
/// are written.
pub(in crate::policy) fn places(
    octets: &[u8],
    wanted: &FxHashSet<IpNetwork>,
) -> Vec<(IpNetwork, Position, String)> {
    let mut rest = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let (mut places, mut line) = (Vec::new(), 0);
    while !rest.is_empty() {
        line += 1;
        let end = || rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |end| end + 1);
        let (prefix, length) = match plain::line(rest) {
            Some((prefix, length)) => (Some(prefix), length),
            None => (explained(&rest[..end()], line).ok().flatten(), end()),
        };
        if let Some(prefix) = prefix.filter(|prefix| wanted.contains(prefix)) {
            let text = String::from_utf8_lossy(&rest[..length]);
            let written = text.split('#').next().unwrap_or_default();
            places.push((prefix, Position { line, column: column(written) }, written.trim().to_owned()));
        }
        rest = &rest[length..];
    }
    places
}

/// Where what is written begins.
fn column(written: &str) -> usize {
    written.chars().take_while(|c| c.is_whitespace()).count() + 1
}

/// The prefix of any line, if there is one, or what is wrong with it.
fn explained(octets: &[u8], line: usize) -> Result<Option<IpNetwork>, Fault> {
    let text = String::from_utf8_lossy(octets);
    let written = text.split('#').next().unwrap_or_default();
    let value = written.trim();
    if value.is_empty() {
        return Ok(None);
    }
    prefix::parse(value).map(Some).map_err(|why| {
        let at = Position { line, column: column(written) };
        Fault { at, place: format!("line {line}"), value: value.to_owned(), why: why.coded(Code::BadPrefix) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::files::random::Random;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// An address or a prefix as people write it, mostly a right one.
    fn prefix(random: &mut Random) -> String {
        let hosts = random.below(2) == 0;
        let (address, bits): (IpAddr, u8) = if random.below(2) == 0 {
            let address = random.next() as u32 & random.next() as u32;
            let length = if hosts { 32 } else { random.below(33) as u8 };
            (
                Ipv4Addr::from_bits(address & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0))
                    .into(),
                length,
            )
        } else {
            // Whole groups of zeros, anywhere.
            let groups = (0..8).map(|_| random.next() as u16 * u16::from(random.below(3) == 0));
            let address = groups.fold(0, |address, group| address << 16 | u128::from(group));
            let length = if hosts { 128 } else { random.below(129) as u8 };
            (
                Ipv6Addr::from_bits(address & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0))
                    .into(),
                length,
            )
        };
        if hosts { address.to_string() } else { format!("{address}/{bits}") }
    }

    /// That, with a mistake now and then, and what may stand around it.
    fn line(random: &mut Random) -> Vec<u8> {
        let mut text = match random.below(20) {
            0 => format!("::ffff:{:x}:{:x}", random.next() as u16, random.next() as u16),
            _ => prefix(random),
        }
        .into_bytes();
        while random.below(3) == 0 {
            let at = random.below(text.len() + 1);
            let octet = *random.of(b"0123456789afAF::..//  \t\r\x0b#,-%[\xff");
            let end = (at + random.below(2)).min(text.len());
            text.splice(at..end, [octet]);
        }
        let behind: [&[u8]; 8] =
            [b"", b"", b"", b"\r", b"  # more", b"#\xff", b" \t\r", "\u{a0}\u{2003}".as_bytes()];
        let before: [&[u8]; 6] = [b"", b"", b"", b"", b" ", "\u{85}".as_bytes()];
        [random.of(&before), &text[..], random.of(&behind)].concat()
    }

    #[test]
    fn the_quick_road_reads_what_the_explaining_one_does() {
        let mut random = Random::new(1);
        let (mut quick, mut sound) = (0, 0);
        for _ in 0..30_000 {
            let line = line(&mut random);
            let explained = explained(&line, 1);
            for end in [&b""[..], b"\n", b"\nmore"] {
                let octets = [&line[..], end].concat();
                if let Some((prefix, length)) = plain::line(&octets) {
                    assert_eq!(explained.as_ref(), Ok(&Some(prefix)), "{:?}", String::from_utf8_lossy(&line));
                    assert_eq!(length, (line.len() + 1).min(octets.len()));
                    quick += usize::from(end.is_empty());
                }
            }
            sound += usize::from(matches!(explained, Ok(Some(_))));
        }
        assert!((15_000..27_000).contains(&sound), "{sound} sound lines");
        // The others have white space in front, or such as few write.
        assert!(quick * 2 > sound, "{quick} of {sound} on the quick road");
    }

    #[test]
    fn a_plain_line_takes_the_quick_road() {
        let mut random = Random::new(2);
        for _ in 0..10_000 {
            let text = prefix(&mut random);
            // Few of them are IPv4-mapped, or have an IPv4 tail.
            if text.parse::<IpNetwork>().is_ok_and(|prefix| prefix.is_ipv4()) || !text.contains('.') {
                assert!(plain::line(text.as_bytes()).is_some(), "{text}");
            }
        }
    }

    #[test]
    fn a_list_is_its_lines() {
        let mut random = Random::new(4);
        for _ in 0..2_000 {
            let lines: Vec<Vec<u8>> = (0..random.below(6))
                .map(|_| match random.below(4) {
                    0 => random.of(&[&b""[..], b"# all", b" ", b"\r"]).to_vec(),
                    1 => line(&mut random),
                    _ => prefix(&mut random).into(),
                })
                .collect();
            let octets = lines.join(&b'\n');
            let (mut report, mut expected, mut reference) =
                (Report::default(), Vec::new(), Report::default());
            // A line of the generator may hold carriage returns, but no line feed.
            for (index, line) in lines.iter().enumerate() {
                match explained(line, index + 1) {
                    Ok(prefix) => expected.extend(prefix),
                    Err(fault) => reference.refuse(Path::new("l"), fault),
                }
            }
            let list = prefixes(Path::new("l"), &octets, 0, &mut report);
            let expected = (!reference.is_refused()).then_some(&expected);
            assert_eq!(list.as_deref(), expected, "{:?}", String::from_utf8_lossy(&octets));
            let faults = |report: Report| report.finish(Path::new("p"), &[]).0;
            assert_eq!(faults(report), faults(reference));
        }
    }
}

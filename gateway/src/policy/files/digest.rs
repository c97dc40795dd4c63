//! What a policy's two digests are of.

use sha2::{Digest, Sha256};

/// So many octets are looked at together, to their last line's end.
const BLOCK: usize = 1 << 16;

/// Digests of files in the order in which they are added.
#[derive(Default)]
pub(super) struct Digests {
    files: usize,
    all: Sha256,
    sense: Sha256,
    /// Room for what a block says.
    said: Vec<u8>,
}

impl Digests {
    /// Adds a file's octets. The digest of a single file is the plain SHA-256. NUL, which no file may hold, keeps files
    /// apart: a line that moves from one list to the next is a change.
    pub(super) fn add(&mut self, octets: &[u8]) {
        if self.files > 0 {
            self.all.update([0]);
        }
        self.all.update(octets);
        self.files += 1;
        let mut rest = octets;
        while !rest.is_empty() {
            let (block, behind) = rest.split_at(block(rest));
            if is_said(block) {
                self.sense.update(block);
            } else {
                self.said.clear();
                block.split(|octet| *octet == b'\n').for_each(|line| say(line, &mut self.said));
                self.sense.update(&self.said);
            }
            rest = behind;
        }
    }

    /// The digest of everything, and that of what is said, in lower-case hex.
    pub(super) fn finish(self) -> (String, String) {
        (hex(self.all), hex(self.sense))
    }
}

/// How long the first block is: whole lines, one at least.
fn block(octets: &[u8]) -> usize {
    let (first, behind) = octets.split_at(BLOCK.min(octets.len()));
    let is_end = |octet: &u8| *octet == b'\n';
    let end = first.iter().rposition(is_end);
    let end = end.or_else(|| behind.iter().position(is_end).map(|end| BLOCK + end));
    end.map_or(octets.len(), |end| end + 1)
}

/// Whether whole lines have no comment and no white space at their end, and none is empty: then they are what is said.
#[expect(clippy::needless_bitwise_bool, reason = "without a branch, the loop takes many octets at a time")]
fn is_said(lines: &[u8]) -> bool {
    let pairs = lines.iter().zip(lines.get(1..).unwrap_or_default());
    let has_more = pairs.fold(false, |found, (octet, next)| {
        found | (*octet == b'#') | (octet.is_ascii_whitespace() & (*next == b'\n'))
    });
    !has_more && lines.first() != Some(&b'\n') && lines.last() == Some(&b'\n')
}

/// Adds a line without its comment and what is blank at its end, if anything is left. A `#` inside quotes is taken for a
/// comment, too: then a change behind it counts for none.
fn say(line: &[u8], said: &mut Vec<u8>) {
    let begins = |at: &usize| *at == 0 || line[*at - 1].is_ascii_whitespace();
    let comment = line.iter().enumerate().filter(|(_, octet)| **octet == b'#').map(|(at, _)| at).find(begins);
    let line = line[..comment.unwrap_or(line.len())].trim_ascii_end();
    if !line.is_empty() {
        said.extend_from_slice(line);
        said.push(b'\n');
    }
}

/// In lower case.
fn hex(hasher: Sha256) -> String {
    let octets = hasher.finalize();
    let halves = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::files::random::Random;

    /// What each line says, one after another.
    fn said(octets: &[u8]) -> Vec<u8> {
        let mut said = Vec::new();
        for line in octets.split(|octet| *octet == b'\n') {
            let comment = (0..line.len())
                .find(|at| line[*at] == b'#' && (*at == 0 || line[*at - 1].is_ascii_whitespace()));
            let line = line[..comment.unwrap_or(line.len())].trim_ascii_end();
            if !line.is_empty() {
                said.extend([line, b"\n"].concat());
            }
        }
        said
    }

    #[test]
    fn files_are_digested_as_if_line_by_line() {
        let mut random = Random::new(3);
        for round in 0..90 {
            let pieces: [&[u8]; 10] =
                [b"10.0.0.1", b" ", b"#", b"\n", b"\n", b"\r\n", b"a#b", b"\t", b"\xff", b"\x0c"];
            let files: Vec<Vec<u8>> = (0..=random.below(3))
                .map(|_| (0..random.below(40)).flat_map(|_| *random.of(&pieces)).copied().collect())
                .map(|file: Vec<u8>| match round % 3 {
                    // Longer than a block, and a line that is.
                    1 => [file.clone(), b"192.0.2.1\n".repeat(BLOCK / 9), file].concat(),
                    2 => [file.clone(), b"1".repeat(BLOCK + 1), file].concat(),
                    _ => file,
                })
                .collect();
            let mut digests = Digests::default();
            for file in &files {
                digests.add(file);
            }
            let all = hex(Sha256::new_with_prefix(files.join(&0)));
            let sense =
                hex(Sha256::new_with_prefix(files.iter().flat_map(|file| said(file)).collect::<Vec<_>>()));
            assert_eq!(digests.finish(), (all, sense), "{}", String::from_utf8_lossy(&files.concat()));
        }
    }
}

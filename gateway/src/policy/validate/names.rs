//! `names`, `mx` and `keep_old_for` of relays and exceptions.

use super::{Check, at_most, duration, prefix};
use crate::policy::document::{self, Texts};
use crate::policy::names::{Key, MAX_NAMES, Name, Named, Names};
use crate::policy::problem::{Code, Why};
use std::collections::HashMap;
use std::net::IpAddr;

const EXAMPLE: &str = "write a host name in full, as smtp.west.example.net";

/// The most octets of a name without its last dot, and of a label (RFC 1035 section 3.1).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// What an entry has of the three keys.
struct Written<'a> {
    names: Option<&'a Texts>,
    mx: Option<&'a Texts>,
    keep_old_for: Option<&'a str>,
    /// Where addresses belong: `addresses` or `destinations`.
    prefixes: &'static str,
}

/// The names of the relay at `place`; `before` counts those of the policy.
pub(super) fn of_relay(
    check: &mut Check,
    place: &str,
    written: &document::Relay,
    before: &mut usize,
) -> Names {
    let keep_old_for = written.keep_old_for.as_deref();
    let written = Written { names: written.names.as_ref(), mx: None, keep_old_for, prefixes: "addresses" };
    names(check, place, &written, before)
}

/// The names of the exception at `place`; `before` counts those of the policy.
pub(super) fn of_exception(
    check: &mut Check,
    place: &str,
    written: &document::Exception,
    before: &mut usize,
) -> Names {
    if matches!(&written.destinations, Some(Texts::Word(word)) if word == "any") {
        for (key, texts) in [("names", &written.names), ("mx", &written.mx)] {
            if let Some(texts) = texts {
                let why = Why::new("adds nothing to any", "keep one of the two");
                check.problem(&format!("{place}.{key}"), &texts.to_string(), why);
            }
        }
    }
    let written = Written {
        names: written.names.as_ref(),
        mx: written.mx.as_ref(),
        keep_old_for: written.keep_old_for.as_deref(),
        prefixes: "destinations",
    };
    names(check, place, &written, before)
}

fn names(check: &mut Check, place: &str, written: &Written<'_>, before: &mut usize) -> Names {
    let mut names = Names::default();
    for (key, texts) in [(Key::Names, written.names), (Key::Mx, written.mx)] {
        let place = format!("{place}.{}", key.label());
        match texts {
            None => {}
            Some(Texts::Word(word)) => {
                let why =
                    Why::new("is not a list", format!("put it in brackets: [{word}]")).coded(Code::WrongType);
                check.problem(&place, word, why);
            }
            Some(Texts::List(list)) => {
                if list.is_empty() {
                    check.problem(&place, "[]", Why::new("is empty", "list names, or leave the key out"));
                }
                listed(check, &place, key, list, written.prefixes, &mut names.list, before);
            }
        }
    }
    if let Some(text) = written.keep_old_for {
        let place = format!("{place}.keep_old_for");
        match duration::parse(text) {
            Ok(duration) => names.keep_old_for = duration,
            Err(why) => check.problem(&place, text, why),
        }
        if (written.names, written.mx) == (None, None) {
            check.advise(Code::NoEffect, &place, text, "has no effect without names", "leave it out");
        }
    }
    names
}

fn listed(
    check: &mut Check,
    place: &str,
    key: Key,
    list: &[String],
    prefixes: &str,
    names: &mut Vec<Named>,
    before: &mut usize,
) {
    let mut seen = HashMap::<String, String>::new();
    for (index, written) in list.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let text = match parse(written, key, prefixes) {
            Ok(text) => text,
            Err(why) => {
                check.problem(&place, written, why);
                continue;
            }
        };
        if let Some(other) = seen.get(&text) {
            let remedy = format!("keep one; the other is at {}", check.source.whereabouts(other));
            check.advise(Code::Duplicate, &place, written, "is listed twice", &remedy);
            continue;
        }
        at_most(check, MAX_NAMES, *before, &place, "names", "write prefixes for those that seldom change");
        *before += 1;
        seen.insert(text.clone(), place.clone());
        let at = check.source.root.locate(&place);
        names.push(Named { name: Name { key, text }, file: check.source.path.clone(), at, place });
    }
}

/// A host name (RFC 1123 section 2.1) in lower case, without the last dot.
fn parse(written: &str, key: Key, prefixes: &str) -> Result<String, Why> {
    if written.is_empty() {
        return Err(Why::new("is empty", EXAMPLE));
    }
    let bare = written.trim_start_matches('[').trim_end_matches(']');
    if prefix::parse(bare).is_ok() || bare.parse::<IpAddr>().is_ok() {
        return Err(Why::new(
            "is an address, not a name",
            format!("write it under {prefixes}: [\"{bare}\"]"),
        ));
    }
    if let Some((_, domain)) = written.rsplit_once('@') {
        return Err(Why::new("is a mail address", format!("write the domain alone, as mx: [{domain}]")));
    }
    if written.contains('*') {
        let remedy = match key {
            Key::Names => "name each host; an exception may have mx: for a domain's mail exchangers",
            Key::Mx => "name each domain",
        };
        return Err(Why::new("has a wildcard, which cannot be resolved", remedy));
    }
    if let Some((name, port)) = written.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|octet| octet.is_ascii_digit())
    {
        return Err(Why::new("has a port", format!("write {name}; a policy is about port 25 alone")));
    }
    if !written.is_ascii() {
        return Err(Why::new("is not in ASCII", "write the form that DNS has, with xn--"));
    }
    let text = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    let labels: Vec<&str> = text.split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return Err(Why::new("has an empty label", EXAMPLE));
    }
    if text.len() > MAX_NAME || labels.iter().any(|label| label.len() > MAX_LABEL) {
        let cause = format!("is longer than DNS has it: {MAX_NAME} octets, {MAX_LABEL} between dots");
        return Err(Why::new(cause, EXAMPLE));
    }
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if !text.bytes().all(|octet| fits(octet) || octet == b'.') {
        return Err(Why::new("has a character that host names do not have", EXAMPLE));
    }
    if labels.iter().any(|label| label.starts_with('-') || label.ends_with('-')) {
        return Err(Why::new("has a label that begins or ends with a hyphen", EXAMPLE));
    }
    if labels.len() < 2 {
        return Err(Why::new("is not written in full: no search list is used", EXAMPLE));
    }
    if labels.last().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit())) {
        return Err(Why::new("ends in a number, as no name does", EXAMPLE));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, Why> {
        parse(text, Key::Names, "addresses")
    }

    #[test]
    fn host_names() {
        let label = "a".repeat(63);
        let longest = [label.as_str(), &label, &label, &label[..61]].join(".");
        assert_eq!(longest.len(), 253);
        for (text, name) in [
            ("smtp.west.example.net", "smtp.west.example.net"),
            ("SMTP.Example.NET.", "smtp.example.net"),
            ("3com.example", "3com.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            (&longest, &longest),
            (&format!("{longest}."), &longest),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(name));
        }
        assert!(parsed(&format!("a{longest}")).expect_err("254").cause.contains("longer"));
    }

    #[test]
    fn every_mistake_has_its_own_remedy() {
        let long = format!("{}.example", "a".repeat(64));
        for (text, cause, remedy) in [
            ("", "is empty", "in full"),
            ("192.0.2.25", "an address", "under addresses: [\"192.0.2.25\"]"),
            ("[192.0.2.25]", "an address", "under addresses: [\"192.0.2.25\"]"),
            ("192.0.2.0/24", "an address", "under addresses: [\"192.0.2.0/24\"]"),
            ("2001:db8::1", "an address", "under addresses: [\"2001:db8::1\"]"),
            ("::ffff:192.0.2.1", "an address", "under addresses"),
            ("noc@campus.example", "mail address", "mx: [campus.example]"),
            ("*.example.net", "wildcard", "mx: for"),
            ("smtp.example.net:25", "a port", "write smtp.example.net;"),
            ("bücher.example", "ASCII", "xn--"),
            ("a..example", "empty label", "in full"),
            (".example.net", "empty label", "in full"),
            (".", "empty label", "in full"),
            (&long, "longer", "in full"),
            ("a_b.example", "character", "in full"),
            ("a b.example", "character", "in full"),
            ("https://example.net", "character", "in full"),
            ("-a.example", "hyphen", "in full"),
            ("a-.example", "hyphen", "in full"),
            ("localhost", "in full", "smtp.west.example.net"),
            ("192.0.2.256", "number", "in full"),
        ] {
            let why = parsed(text).expect_err(text);
            assert!(why.cause.contains(cause) && why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }
}

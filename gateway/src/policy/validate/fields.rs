//! The fields that zones, relays, exceptions and blocks have in common.

use super::{Check, Ids, Zones, instant, prefix};
use crate::policy::Scope;
use crate::policy::document::Texts;
use crate::policy::files::Inputs;
use crate::policy::problem::{Code, Why, hides, nearest};
use crate::policy::words::Words;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// The most octets of an id: it becomes a metric label and a column.
pub(in crate::policy) const MAX_ID: usize = 120;

/// The id of the entry at `place`, which none in `ids` may have.
pub(super) fn id<'a>(
    check: &mut Check<'a, '_>,
    ids: &mut Ids<'a>,
    place: &str,
    written: Option<&'a str>,
) -> String {
    let place = format!("{place}.id");
    let Some(id) = written else {
        check.missing(&place, "add a short name, as id: west");
        return String::new();
    };
    let why = if id.trim().is_empty() {
        Why::new("is empty", "give it a short name")
    } else if id.len() > MAX_ID {
        Why::new(
            format!("is longer than {MAX_ID} octets"),
            "give it a shorter name and keep the rest for reason",
        )
    } else if id.contains(hides) {
        Why::new("contains a control character", "write it on one line, with letters, digits and dashes")
    } else if let Some((source, other)) = ids.get(id) {
        let there = source.whereabouts(other);
        Why::new(
            "is used twice",
            format!("rename one; the other is {} at {there}", other.trim_end_matches(".id")),
        )
        .coded(Code::DuplicateId)
    } else {
        ids.insert(id, (check.source, place));
        return id.to_owned();
    };
    check.problem(&place, id, why);
    String::new()
}

/// One of `known` words.
pub(super) fn word<T: Copy + 'static>(
    check: &mut Check,
    place: &str,
    written: Option<&str>,
    known: Words<T>,
) -> Option<T> {
    let written = written?;
    if let Some((_, value, _)) = known.iter().find(|(word, ..)| *word == written) {
        return Some(*value);
    }
    let words: Vec<&str> = known.iter().map(|(word, ..)| *word).collect();
    let remedy = nearest(written, words.iter().copied())
        .map_or_else(|| format!("write {}", words.join(" or ")), |word| format!("did you mean {word}?"));
    check.problem(place, written, Why::new("is not a known word here", remedy).coded(Code::UnknownWord));
    None
}

/// An instant.
pub(super) fn instant(check: &mut Check, place: &str, written: Option<&str>) -> Option<Timestamp> {
    let written = written?;
    let refuse = |why: Why| check.problem(place, written, why.coded(Code::BadInstant));
    instant::parse(written).map_err(refuse).ok()
}

/// `from` and `until`, in that order.
pub(super) fn period(
    check: &mut Check,
    place: &str,
    from: Option<&str>,
    until: Option<&str>,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let begin = instant(check, &format!("{place}.from"), from);
    let end = instant(check, &format!("{place}.until"), until);
    if let (Some(begin), Some(end)) = (begin, end)
        && begin >= end
    {
        let why = Why::new("is not after from, so it never holds", "swap or correct from and until");
        check.problem(&format!("{place}.until"), until.unwrap_or_default(), why);
    }
    (begin, end)
}

/// What a list of prefixes may be besides.
#[derive(Clone, Copy)]
pub(super) struct Role {
    /// Whether the word `any` may stand in its place.
    pub(super) any: bool,
    /// What to do where it is empty.
    pub(super) if_empty: &'static str,
}

/// The prefixes of a list, each with its index. `None` when there is no list.
pub(super) fn prefixes(
    check: &mut Check,
    place: &str,
    written: Option<&Texts>,
    role: Role,
) -> Option<Vec<(usize, IpNetwork)>> {
    match written? {
        Texts::Word(word) => {
            let remedy = match word.as_str() {
                "any" => role.if_empty.to_owned(),
                word if prefix::parse(word).is_ok() => format!("put it in brackets: [\"{word}\"]"),
                _ if role.any => "write any, or prefixes in brackets: [\"198.51.100.0/24\"]".into(),
                _ => "write prefixes in brackets: [\"198.51.100.0/24\"]".into(),
            };
            check.problem(place, word, Why::new("is not a list", remedy).coded(Code::WrongType));
            Some(Vec::new())
        }
        Texts::List(list) => {
            if list.is_empty() {
                check.problem(place, "[]", Why::new("is empty", role.if_empty));
            }
            let mut prefixes = Vec::with_capacity(list.len());
            for (index, text) in list.iter().enumerate() {
                match prefix::parse(text) {
                    Ok(prefix) => prefixes.push((index, prefix)),
                    Err(why) => check.problem(&format!("{place}[{index}]"), text, why.coded(Code::BadPrefix)),
                }
            }
            Some(prefixes)
        }
    }
}

/// `KEY` and `KEY_file` of the entry at `place` together; `Every` when there is neither, or the word `any`.
pub(super) fn scope(
    check: &mut Check,
    inputs: &mut Inputs,
    place: &str,
    (written, file): (Option<&Texts>, Option<&str>),
    role: Role,
) -> Scope<IpNetwork> {
    let file_place = format!("{place}_file");
    if role.any && matches!(written, Some(Texts::Word(word)) if word == "any") {
        if let Some(file) = file {
            check.problem(&file_place, file, Why::new("adds nothing to any", "keep one of the two"));
        }
        return Scope::Every;
    }
    let inline = prefixes(check, place, written, role);
    let inline = inline.map(|list| list.into_iter().map(|(_, prefix)| prefix).collect::<Vec<_>>());
    let listed = file.map(|file| file_list(check, inputs, &file_place, file, role));
    match (inline, listed) {
        (None, None) => Scope::Every,
        // Not copied: it may be long, and many rules may name it.
        (None, Some(listed)) => Scope::Only(listed),
        (Some(mut list), listed) => {
            list.extend_from_slice(&listed.unwrap_or_default());
            Scope::Only(list.into())
        }
    }
}

/// The prefixes of a list file.
fn file_list(
    check: &mut Check,
    inputs: &mut Inputs,
    place: &str,
    file: &str,
    role: Role,
) -> Arc<Vec<IpNetwork>> {
    if file.is_empty() {
        check.problem(place, file, Why::new("names no file", "write the path of a list, or remove the key"));
        return Arc::default();
    }
    if check.source.is_refused(place) {
        return Arc::default();
    }
    let path = check.source.path.parent().unwrap_or(Path::new("")).join(file);
    let list = inputs.list(&path, check.report).unwrap_or_else(|mut why| {
        if path != Path::new(file) {
            why.remedy = format!("{}; it stands for {}", why.remedy, path.display());
        }
        check.problem(place, file, why);
        None
    });
    if list.as_ref().is_some_and(|list| list.is_empty()) {
        check.problem(place, file, Why::new("lists no prefix", role.if_empty));
    }
    list.unwrap_or_default()
}

/// `zones` of a rule, as indices.
pub(super) fn zone_scope(
    check: &mut Check,
    zones: &Zones,
    place: &str,
    written: Option<&Texts>,
) -> Scope<usize> {
    let place = format!("{place}.zones");
    match written {
        None => Scope::Every,
        Some(Texts::Word(word)) => {
            let remedy = format!("put it in brackets: [{word}]; for every zone leave the key out");
            check.problem(&place, word, Why::new("is not a list", remedy).coded(Code::WrongType));
            Scope::Every
        }
        Some(Texts::List(list)) => {
            if list.is_empty() {
                check.problem(
                    &place,
                    "[]",
                    Why::new("is empty", "name zones; for every zone leave the key out"),
                );
            }
            let mut indices = Vec::with_capacity(list.len());
            for (index, name) in list.iter().enumerate() {
                match zones.index.get(name.as_str()) {
                    Some(zone) if indices.contains(zone) => {}
                    Some(zone) => indices.push(*zone),
                    None if zones.complete => {
                        check.problem(&format!("{place}[{index}]"), name, unknown_zone(name, zones));
                    }
                    None => {}
                }
            }
            Scope::Only(indices.into())
        }
    }
}

fn unknown_zone(name: &str, zones: &Zones) -> Why {
    let mut names: Vec<&str> = zones.index.keys().copied().collect();
    names.sort_unstable();
    let remedy = nearest(name, names.iter().copied()).map_or_else(
        || {
            let more = if names.len() > 9 { ", ..." } else { "" };
            format!("zones here are {}{more}", names.iter().take(9).copied().collect::<Vec<_>>().join(", "))
        },
        |meant| format!("did you mean {meant}?"),
    );
    Why::new("is not a zone of this policy", remedy).coded(Code::UnknownZone)
}

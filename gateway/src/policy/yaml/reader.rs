//! Hands a [`Node`] to serde, and never stops at a fault: each is reported with its place, and serde goes on with a
//! neutral value (empty text, empty list, zero). The places refused are kept, so that nothing is said about them twice.

use super::{Entry, Kind, Node};
use crate::policy::problem::{Code, Fault, Position, Report, Why, grouped, nearest};
use crate::policy::validate::MAX_RULES as MAX_ENTRIES;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::collections::hash_map::Entry::Vacant;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What else there is to know about places.
#[derive(Debug, Default)]
pub struct Places {
    /// About which no more is to be said, nor about what is below them.
    pub refused: HashSet<String>,
    /// Where the value stands of a key that was mistyped, by where it was meant to be.
    pub mistyped: HashMap<String, String>,
}

/// Reads the whole tree as a `T`, whose every field must have a default.
pub fn read<T: DeserializeOwned + Default>(root: &Node, file: &Path, report: &mut Report) -> (T, Places) {
    let notes = RefCell::new(Notes { file, report, places: Places::default() });
    let value = T::deserialize(Reader { node: root, at: root.at, place: String::new(), notes: &notes });
    let Notes { report, places, .. } = notes.into_inner();
    let value = value.unwrap_or_else(|error| {
        let why = Why::new(error.to_string(), "write what the documentation of the key says");
        report.refuse(file, Fault { at: root.at, place: "yaml".into(), value: show(root), why });
        T::default()
    });
    (value, places)
}

/// What comes out beside the value.
struct Notes<'a> {
    file: &'a Path,
    report: &'a mut Report,
    places: Places,
}

/// A node about to be read, and what leads to it.
struct Reader<'a, 'n> {
    node: &'a Node,
    at: Position,
    place: String,
    notes: &'a RefCell<Notes<'n>>,
}

/// What a scalar without quotes is in the core schema (YAML 1.2.2, section 10.3).
#[derive(PartialEq)]
enum Plain {
    Null,
    Bool(bool),
    Number,
    Text,
}

fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        ".inf" | "-.inf" | "+.inf" | ".nan" => Plain::Number,
        _ if text.starts_with("0x") && u128::from_str_radix(&text[2..], 16).is_ok() => Plain::Number,
        _ if text.starts_with("0o") && u128::from_str_radix(&text[2..], 8).is_ok() => Plain::Number,
        // Only digits make a number; "inf" and "nan", which Rust also takes, are words.
        _ if text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok() => Plain::Number,
        _ => Plain::Text,
    }
}

impl<'a> Reader<'a, '_> {
    /// Notes that this value cannot be what it should be.
    fn refuse(&self, cause: &str, remedy: impl Into<String>) {
        self.notes.borrow_mut().places.refused.insert(self.place.clone());
        self.note(
            self.at,
            self.place.clone(),
            show(self.node),
            Why::new(cause, remedy).coded(Code::WrongType),
        );
    }

    fn note(&self, at: Position, place: String, value: String, why: Why) {
        let mut notes = self.notes.borrow_mut();
        let file = notes.file;
        notes.report.refuse(file, Fault { at, place, value, why });
    }

    /// The resolved kind of a scalar and its text.
    fn scalar(&self) -> Option<(Plain, &'a str)> {
        match &self.node.kind {
            Kind::Scalar { text, plain: true } => Some((resolve(text), text)),
            Kind::Scalar { text, plain: false } => Some((Plain::Text, text)),
            _ => None,
        }
    }

    /// Notes a key without a value.
    fn is_null(&self) -> bool {
        let null = matches!(self.scalar(), Some((Plain::Null, _)));
        if null {
            self.refuse("has no value", "write one, or remove the key");
        }
        null
    }

    fn items(self, items: &'a [Node]) -> impl Iterator<Item = Self> {
        items.iter().enumerate().map(move |(index, node)| Self {
            node,
            at: node.at,
            place: format!("{}[{index}]", self.place),
            notes: self.notes,
        })
    }

    fn below(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// The entries whose key is known and there for the first time.
    fn known(&self, entries: &'a [Entry], fields: &'static [&'static str]) -> Vec<(&'static str, Self)> {
        let keys: HashSet<&str> = entries.iter().map(|entry| &*entry.key).collect();
        let unused: Vec<&'static str> =
            fields.iter().copied().filter(|field| !keys.contains(field)).collect();
        let mut known: Vec<(&'static str, Self)> = Vec::new();
        let mut first: HashMap<&str, Position> = HashMap::new();
        for Entry { key, at, value } in entries {
            let place = self.below(key);
            let Some(field) = fields.iter().find(|field| **field == &**key) else {
                if let Some(meant) = self.unknown(key, *at, &place, fields, &unused) {
                    let meant_place = self.below(meant);
                    let mut notes = self.notes.borrow_mut();
                    // The first one is read as if it were right: its value may have faults of its own.
                    if let Vacant(vacant) = notes.places.mistyped.entry(meant_place) {
                        vacant.insert(place.clone());
                        known.push((meant, Self { node: value, at: value.at, place, notes: self.notes }));
                    }
                }
                continue;
            };
            if let Some(first) = first.get(field) {
                let remedy = format!("keep one; the other is at {}:{}", first.line, first.column);
                let why = Why::new("is a key given twice", remedy).coded(Code::DuplicateKey);
                self.note(*at, place, key.to_string(), why);
            } else {
                first.insert(field, *at);
                known.push((field, Self { node: value, at: value.at, place, notes: self.notes }));
            }
        }
        known
    }

    /// Notes a key that there is not, and gives back the one that was meant.
    fn unknown(
        &self,
        key: &str,
        at: Position,
        place: &str,
        fields: &[&str],
        unused: &[&'static str],
    ) -> Option<&'static str> {
        let meant = nearest(key, unused.iter().copied());
        let remedy = meant.map_or_else(
            || format!("known here: {}", fields.join(", ")),
            |meant| format!("did you mean {meant}?"),
        );
        let why = Why::new("is not a known key", remedy).coded(Code::UnknownKey);
        self.note(at, place.to_owned(), key.to_owned(), why);
        meant
    }
}

/// A node in a message.
fn show(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { text, plain: true } if text.is_empty() => "(nothing)".into(),
        Kind::Scalar { text, .. } => text.to_string(),
        Kind::List(items) => match &**items {
            [] => "[]".into(),
            [only] => format!("[{}]", show(only)),
            [first, ..] => format!("[{}, ...]", show(first)),
        },
        Kind::Map(entries) => {
            let keys: Vec<&str> = entries.iter().take(9).map(|entry| &*entry.key).collect();
            format!("{{{}}}", keys.join(", "))
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Error;

    /// Text of any kind, or a list; a mapping is refused.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            _ if self.is_null() => visitor.visit_str(""),
            Kind::Scalar { text, .. } => visitor.visit_str(text),
            Kind::List(items) => visitor.visit_seq(SeqDeserializer::new(self.items(items))),
            Kind::Map(_) => {
                self.refuse("is a mapping where a list belongs", "write [ ] around its values and no keys");
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar() {
            Some((Plain::Text, text)) => return visitor.visit_str(text),
            Some((Plain::Null, _)) => self.refuse("has no value", "write one, or remove it"),
            Some((Plain::Number, text)) => {
                self.refuse("is a number where text belongs", format!("put it in quotes: \"{text}\""));
            }
            Some((Plain::Bool(_), text)) => {
                self.refuse("is true or false where text belongs", format!("put it in quotes: \"{text}\""));
            }
            None => self.refuse("is not one text", "write a single value, without [ ] and without keys"),
        }
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some((Plain::Bool(value), _)) = self.scalar() {
            return visitor.visit_bool(value);
        }
        self.refuse("is neither true nor false", "write true or false, without quotes");
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.scalar().filter(|(plain, _)| *plain == Plain::Number);
        if let Some(number) = number.and_then(|(_, text)| text.parse().ok()) {
            return visitor.visit_u64(number);
        }
        self.refuse("is not a whole number", "write digits only, without quotes");
        visitor.visit_u64(0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items: &[Node] = match &self.node.kind {
            Kind::List(items) if items.len() <= MAX_ENTRIES => items,
            Kind::List(items) => {
                let cause = format!("has {} entries, more than any policy may have", grouped(items.len()));
                self.refuse(&cause, format!("keep it to {}", grouped(MAX_ENTRIES)));
                &[]
            }
            _ if self.is_null() => &[],
            _ => {
                self.refuse("is not a list", "write its entries below it, each beginning with \"- \"");
                &[]
            }
        };
        visitor.visit_seq(SeqDeserializer::new(self.items(items)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let known = match &self.node.kind {
            Kind::Map(entries) => self.known(entries, fields),
            _ if self.is_null() => Vec::new(),
            _ => {
                self.refuse(
                    "is not a mapping of keys",
                    format!(
                        "write its keys and values, beginning with {}: ...",
                        fields.first().unwrap_or(&"key")
                    ),
                );
                Vec::new()
            }
        };
        visitor.visit_map(MapDeserializer::new(known.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom(format!("{name} is read as text")))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Reader<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

//! The node's configuration (contract section 2): one YAML file, or flags of the same names.

use crate::datapath::attach::XdpMode;
use crate::datapath::fault::in_our_words;
use crate::events::Sink;
use crate::events::file::Rotated;
use bytesize::ByteSize;
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What this node enforces where, and where it keeps and shows things.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of a node")]
pub struct Config {
    /// Policy file or directory.
    #[serde(default)]
    pub policy: PathBuf,
    /// Subscriber interfaces.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
    /// `false`: this node monitors, whatever the policy says.
    #[serde(default = "yes")]
    pub enforce: bool,
    /// Where `/metrics` and `/healthz` are served.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where the controller can be asked.
    #[serde(default = "default_control")]
    pub control: PathBuf,
    /// Below a bpffs: programs, links and maps.
    #[serde(default = "default_pin")]
    pub pin: PathBuf,
    /// What is kept across a reboot: the last good policy, the newest time seen.
    #[serde(default = "default_state")]
    pub state: PathBuf,
    /// Where events are written; by default, to the log.
    pub events: Option<Events>,
}

/// A subscriber interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an interface, as `name: eth1`")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Where the program runs.
    #[serde(default, deserialize_with = "mode")]
    pub mode: XdpMode,
    /// What happens to sources of no zone.
    #[serde(default)]
    pub unmanaged: Unmanaged,
}

/// What happens to sources of no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Unmanaged {
    /// They pass.
    #[default]
    Pass,
    /// They are blocked.
    Block,
}

/// The file of events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "events, as `file: /var/log/gate25/events.jsonl`")]
pub struct Events {
    /// JSON lines go here; `-` is standard output.
    pub file: PathBuf,
    /// It is rotated at this size: a number with or without a unit, as `100MB` or `64MiB`.
    #[serde(default, deserialize_with = "scalar")]
    pub max_size: Option<String>,
    /// Rotated files kept.
    #[serde(default, deserialize_with = "scalar")]
    pub keep: Option<String>,
}

/// The smallest file of events, in octets: every event fits in.
const MIN_SIZE: u64 = 10_000;
/// What it is by default.
const MAX_SIZE: u64 = 100_000_000;
/// Rotated files kept by default, and at most.
const KEEP: (u32, u32) = (5, 1000);

impl Events {
    fn sink(&self) -> Result<Sink, Unusable> {
        let max_size = self.max_size.as_ref().map_or(Ok(MAX_SIZE), |text| {
            let size = text.parse::<ByteSize>().map(|size| size.as_u64()).ok();
            size.filter(|size| *size >= MIN_SIZE).ok_or_else(|| {
                let place = format!("events.max_size: {text}");
                Unusable::new(place, "is no size, or too small", "give 10KB or more, as 100MB or 64MiB")
            })
        })?;
        let keep = self.keep.as_ref().map_or(Ok(KEEP.0), |text| {
            text.parse().ok().filter(|keep| *keep <= KEEP.1).ok_or_else(|| {
                let place = format!("events.keep: {text}");
                Unusable::new(place, "is no number of files", "give a number from 0 to 1000, as 5")
            })
        })?;
        match &self.file {
            file if file.as_os_str() == "-" => Ok(Sink::Output),
            file if file.is_absolute() => Ok(Sink::File(Rotated::new(file.clone(), max_size, keep))),
            file => {
                let place = format!("events.file: {}", file.display());
                Err(Unusable::new(
                    place,
                    "is not absolute",
                    "begin the path with /, or give - for standard output",
                ))
            }
        }
    }
}

/// A text or a number, as text.
fn scalar<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number or a text")]
    enum Scalar {
        Number(i64),
        Text(String),
    }
    Ok(Some(match Scalar::deserialize(deserializer)? {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    }))
}

fn yes() -> bool {
    true
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9125))
}

fn default_control() -> PathBuf {
    "/run/gate25/control.sock".into()
}

fn default_pin() -> PathBuf {
    "/sys/fs/bpf/gate25".into()
}

fn default_state() -> PathBuf {
    "/var/lib/gate25".into()
}

fn mode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<XdpMode, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl FromStr for XdpMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "native" => Ok(Self::Native),
            "generic" => Ok(Self::Generic),
            _ => Err(format!("{word}: is no mode (native or generic)")),
        }
    }
}

/// `eth1` or `eth1:generic`.
impl FromStr for Interface {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, mode) = match text.split_once(':') {
            Some((name, mode)) => (name, mode.parse()?),
            None => (text, XdpMode::default()),
        };
        Ok(Self { name: name.to_owned(), mode, unmanaged: Unmanaged::default() })
    }
}

/// The configuration cannot be used: `FILE:LINE:COL: where: value: cause (remedy)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    fn new(place: impl fmt::Display, cause: impl fmt::Display, remedy: &str) -> Self {
        let cause = in_our_words(&cause).replace('\n', " ");
        Self(format!("config: {place}: {cause} ({remedy})"))
    }

    /// The same, of that file.
    #[must_use]
    pub fn of(self, file: Option<&Path>) -> Self {
        file.map_or_else(|| self.clone(), |file| Self(format!("{}:1:1: {self}", file.display())))
    }
}

/// Reads a configuration file.
pub fn read(file: &Path) -> Result<Config, Unusable> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Unusable::new(
            &shown,
            error,
            "--config names a YAML file; /usr/share/doc/gate25/deploy/gate25.yaml is one to begin with",
        )
    })?;
    let config: Config = serde_yaml::from_str(&text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let remedy = "keys: policy, interfaces, enforce, listen, control, pin, state, events";
        Unusable(format!("{shown}:{line}:{column}: {}", Unusable::new("node", error, remedy)))
    })?;
    Ok(config)
}

impl Config {
    /// The defaults, without an interface.
    #[must_use]
    pub fn of(policy: PathBuf) -> Self {
        Self {
            policy,
            interfaces: Vec::new(),
            enforce: yes(),
            listen: default_listen(),
            control: default_control(),
            pin: default_pin(),
            state: default_state(),
            events: None,
        }
    }

    /// The policy's path, which must be there.
    pub fn named_policy(&self) -> Result<PathBuf, Unusable> {
        if self.policy.as_os_str().is_empty() {
            return Err(Unusable::new(
                "policy",
                "is not named",
                "name it in the file of --config, or with --policy",
            ));
        }
        Ok(self.policy.clone())
    }

    /// What types cannot say.
    pub fn checked(self) -> Result<Self, Unusable> {
        self.named_policy()?;
        if self.interfaces.is_empty() {
            return Err(Unusable::new(
                "interfaces",
                "there is none",
                "name the subscriber side, as `- name: eth1`",
            ));
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            if self.interfaces[..index].iter().any(|other| other.name == interface.name) {
                let place = format!("interfaces[{index}]: {}", interface.name);
                return Err(Unusable::new(place, "is named twice", "name each interface once"));
            }
        }
        for (key, path) in [("pin", &self.pin), ("state", &self.state), ("control", &self.control)] {
            if !path.is_absolute() {
                let place = format!("{key}: {}", path.display());
                return Err(Unusable::new(place, "is not absolute", "begin the path with /"));
            }
        }
        self.sink()?;
        Ok(self)
    }

    /// Where events are written.
    pub fn sink(&self) -> Result<Sink, Unusable> {
        self.events.as_ref().map_or(Ok(Sink::Log), Events::sink)
    }
}

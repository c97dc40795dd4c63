//! One question to the name servers of `/etc/resolv.conf`, and what they say, in our words.

use super::answers::{Found, Reply};
use crate::policy::names::{Key, Name};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const CONFIGURATION: &str = "/etc/resolv.conf";

/// What a name server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// After this, one that is silent is asked a second time, for packets get lost; it may answer either.
const SECOND: Duration = Duration::from_millis(1500);

/// The system's name servers, as their file was when it was last read.
#[derive(Default)]
pub(super) struct Dns(Mutex<Option<(Look, TokioResolver)>>);

/// What the file was.
type Look = Option<(u64, u64, u64, SystemTime)>;

/// Why there are no records.
enum Failure {
    /// There are none of this type.
    Empty,
    /// Anything else.
    Other(String),
}

impl Dns {
    /// Asks for both families of a host, or for the exchangers of a domain.
    pub(super) async fn ask(&self, name: &Name) -> Reply {
        let resolver = self.resolver();
        match name.key {
            Key::Names => {
                let of = |kind| addresses(&resolver, &name.text, kind);
                let (ipv4, ipv6) = tokio::join!(of(RecordType::A), of(RecordType::AAAA));
                Reply::Host([ipv4, ipv6])
            }
            Key::Mx => Reply::Exchangers(exchangers(&resolver, &name.text).await),
        }
    }

    /// Reads the configuration again when it is another file, or the last reading failed.
    fn resolver(&self) -> Result<TokioResolver, String> {
        let look = fs::metadata(CONFIGURATION)
            .ok()
            .and_then(|found| Some((found.dev(), found.ino(), found.len(), found.modified().ok()?)));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, resolver)) = &*kept
            && *before == look
        {
            return Ok(resolver.clone());
        }
        let resolver = configured()?;
        *kept = Some((look, resolver.clone()));
        Ok(resolver)
    }
}

fn configured() -> Result<TokioResolver, String> {
    let (config, mut options) =
        read_system_conf().map_err(|_| format!("no name server in {CONFIGURATION}"))?;
    // Names of a policy are written in full.
    let config = ResolverConfig::from_parts(None, Vec::new(), config.name_servers().to_vec());
    options.timeout = PATIENCE;
    options.attempts = 0;
    // What an answer is good for is decided by whoever asks.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.max_active_requests = 1024;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| error.to_string().to_lowercase())
}

/// The addresses of one family; empty where the host has none.
async fn addresses(
    resolver: &Result<TokioResolver, String>,
    host: &str,
    kind: RecordType,
) -> Result<Found<IpAddr>, String> {
    let (records, ttl) = match look_up(resolver, host, kind).await {
        Ok(found) => found,
        Err(Failure::Empty) => (Vec::new(), Duration::MAX),
        Err(Failure::Other(failure)) => return Err(failure),
    };
    let mut values: BTreeSet<IpAddr> = records
        .iter()
        .filter_map(|record| match record {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
        .collect();
    let refusal = values.iter().find_map(|address| Some((*address, unfit(*address)?)));
    let refused = refusal.map(|(address, what)| format!("{address} is {what}, and not taken"));
    values.retain(|address| unfit(*address).is_none());
    match refused {
        Some(refused) if values.is_empty() => Err(refused),
        refused => Ok(Found { values, ttl, refused }),
    }
}

/// What no mail server's address is.
pub(super) fn unfit(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_multicast() => Some("multicast"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("broadcast"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => Some("reserved"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("IPv4-mapped"),
        _ => None,
    }
}

/// The exchangers of a domain: itself where it names none (RFC 5321 section 5.1), nobody where it says so (RFC 7505).
async fn exchangers(resolver: &Result<TokioResolver, String>, domain: &str) -> Result<Found<String>, String> {
    let (records, ttl) = match look_up(resolver, domain, RecordType::MX).await {
        Ok(found) => found,
        Err(Failure::Empty) => {
            return Ok(Found {
                values: BTreeSet::from([domain.to_owned()]),
                ttl: Duration::MAX,
                refused: None,
            });
        }
        Err(Failure::Other(failure)) => return Err(failure),
    };
    let hosts = records.iter().filter_map(|record| match record {
        RData::MX(mx) => Some(mx.exchange.to_ascii().to_ascii_lowercase()),
        _ => None,
    });
    let hosts = hosts.map(|host| host.trim_end_matches('.').to_owned());
    Ok(Found { values: hosts.filter(|host| !host.is_empty()).collect(), ttl, refused: None })
}

/// The records behind a name, through aliases; and for how long they hold.
async fn look_up(
    resolver: &Result<TokioResolver, String>,
    name: &str,
    kind: RecordType,
) -> Result<(Vec<RData>, Duration), Failure> {
    let resolver = resolver.as_ref().map_err(|failure| Failure::Other(failure.clone()))?;
    let ask = || resolver.lookup(format!("{name}."), kind);
    let second = async {
        sleep(SECOND).await;
        ask().await
    };
    let answer = tokio::select! {
        answer = ask() => answer,
        answer = second => answer,
        () = sleep(PATIENCE) => Err(NetError::Timeout),
    };
    let answer = answer.map_err(|error| in_our_words(&error))?;
    let ttl = answer.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    let records: Vec<RData> = answer
        .answers()
        .iter()
        .filter(|record| record.record_type() == kind)
        .map(|record| record.data.clone())
        .collect();
    if records.is_empty() { Err(Failure::Empty) } else { Ok((records, Duration::from_secs(ttl.into()))) }
}

fn in_our_words(error: &NetError) -> Failure {
    let words = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NoError => return Failure::Empty,
            code => of_code(code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => of_code(*code),
        NetError::Timeout => "no answer in time".to_owned(),
        NetError::NoConnections | NetError::Io(_) => "no name server can be reached".to_owned(),
        other => other.to_string().to_lowercase(),
    };
    Failure::Other(words)
}

fn of_code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NXDomain => "no such name".to_owned(),
        ResponseCode::ServFail => "the name server failed".to_owned(),
        ResponseCode::Refused => "the name server refuses to answer".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

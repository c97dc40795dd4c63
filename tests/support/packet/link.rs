//! Ethernet II, tags, `PPPoE`, and what is none of these.

/// What an Ethernet header or PPP carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its number on Ethernet.
    pub ethertype: u16,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// How long the PPP protocol field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ppp {
    /// One octet (protocol field compression, RFC 1661 section 6.5).
    Short,
    /// Two octets.
    Long,
}

/// Everything in front of the network header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Destination MAC address.
    pub destination: [u8; 6],
    /// Source MAC address.
    pub source: [u8; 6],
    tags: Vec<[u16; 2]>,
    ppp: Option<Ppp>,
}

impl Link {
    /// The gateway's MAC address in these frames.
    pub const GATEWAY: [u8; 6] = [0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];
    /// The subscriber's.
    pub const SUBSCRIBER: [u8; 6] = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55];

    /// Ethernet II from a subscriber to the gateway.
    #[must_use]
    pub const fn new() -> Self {
        Self { destination: Self::GATEWAY, source: Self::SUBSCRIBER, tags: Vec::new(), ppp: None }
    }

    /// Adds a tag behind those that there are.
    #[must_use]
    pub fn tag(mut self, tpid: u16, control: u16) -> Self {
        self.tags.push([tpid, control]);
        self
    }

    /// Adds so many tags of one kind.
    #[must_use]
    pub fn tags(self, tpid: u16, number: u16) -> Self {
        (0..number).fold(self, |link, vlan| link.tag(tpid, 100 + vlan))
    }

    /// Puts the packet into a `PPPoE` session.
    #[must_use]
    pub fn pppoe(self, ppp: Ppp) -> Self {
        Self { ppp: Some(ppp), ..self }
    }

    /// To another MAC address.
    #[must_use]
    pub fn to(self, destination: [u8; 6]) -> Self {
        Self { destination, ..self }
    }

    /// The frame.
    #[must_use]
    pub fn carry(&self, payload: impl Into<Payload>) -> Vec<u8> {
        let Payload { ethertype, octets } = payload.into();
        let mut frame = [self.destination, self.source].concat();
        for [tpid, control] in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        let Some(ppp) = self.ppp else {
            frame.extend(ethertype.to_be_bytes());
            frame.extend(octets);
            return frame;
        };
        let protocol = match ethertype {
            0x0800 => 0x21,
            0x86dd => 0x57,
            // RFC 1661 section 5: LCP, which has no EtherType.
            _ => 0xc021_u16,
        };
        let protocol = match ppp {
            Ppp::Short => vec![protocol as u8],
            Ppp::Long => protocol.to_be_bytes().to_vec(),
        };
        frame.extend([0x88, 0x64, 0x11, 0x00, 0x0b, 0xad]);
        frame.extend(((protocol.len() + octets.len()) as u16).to_be_bytes());
        frame.extend(protocol);
        frame.extend(octets);
        frame
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

/// An ARP request (RFC 826).
#[must_use]
pub fn arp() -> Payload {
    let mut octets = vec![0, 1, 8, 0, 6, 4, 0, 1];
    octets.extend(Link::SUBSCRIBER);
    octets.extend([203, 0, 113, 7, 0, 0, 0, 0, 0, 0, 203, 0, 113, 1]);
    Payload { ethertype: 0x0806, octets }
}

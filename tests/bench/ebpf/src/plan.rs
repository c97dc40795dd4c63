//! What `spray` is told to do; shared with the bench, which writes it.

/// Octets of each frame: the longest headers, and a whole number of words.
pub(crate) const FRAME: usize = 80;
/// Addresses in a pool.
pub(crate) const POOL: usize = 1 << 20;

/// How one of the two addresses of a packet is chosen. Addresses are as in the packet, IPv4's in the first four octets.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Field {
    /// Not 0: the next one of the pool. 0: `value`, with random bits for those of `free`.
    pub(crate) pooled: u64,
    /// See `pooled`.
    pub(crate) value: [u64; 2],
    /// See `pooled`.
    pub(crate) free: [u64; 2],
}

/// What to make of each frame.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Plan {
    /// Frames are written from the beginning, each of another connection; else only their addresses.
    pub(crate) whole: u64,
    /// Headers of Ethernet, IP and TCP, without tags and options.
    pub(crate) frame: [u64; FRAME / 8],
    /// Not 0: IPv6.
    pub(crate) ipv6: u64,
    /// The sum (in this machine's byte order) of the words of the IPv4 header, without checksum and addresses.
    pub(crate) sum: u64,
    /// The packet's source.
    pub(crate) source: Field,
    /// Its destination.
    pub(crate) remote: Field,
    /// What to return; 0: what the program under test does.
    pub(crate) code: u64,
}

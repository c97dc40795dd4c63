//! Both programs, and clients whose every packet a test chooses.

use crate::POLICY;
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::{Code, Runner};
use gate25::policy::compile::compile;
use gate25::tables::Tables;
use gate25_common::verdict::{Action, Decision, Direction, FlowEvent};
use gate25_tests::packet::{ACK, Link, SYN, Tcp, packet};
use std::collections::HashMap;
use std::net::IpAddr;

/// The target's initial sequence number.
const ISN: u32 = 7_000;

pub(crate) struct Lab {
    pub(crate) runner: Runner,
    tables: Tables,
}

/// A subscriber's socket.
pub(crate) struct Client {
    address: IpAddr,
    port: u16,
    pub(crate) target: (IpAddr, u16),
}

impl Client {
    /// A packet to port 25; one with ACK acknowledges what the target sent first.
    pub(crate) fn sends(&self, to: IpAddr, flags: u8) -> Vec<u8> {
        self.packet(to, flags, ISN + 1)
    }

    /// An ACK of something else.
    pub(crate) fn acknowledges(&self, to: IpAddr, acknowledgement: u32) -> Vec<u8> {
        self.packet(to, ACK, acknowledgement)
    }

    fn packet(&self, to: IpAddr, flags: u8, acknowledgement: u32) -> Vec<u8> {
        let mut tcp = Tcp::new(self.port, 25, flags);
        (tcp.sequence, tcp.acknowledgement) = (1, if flags & ACK == 0 { 0 } else { acknowledgement });
        Link::new().carry(packet(self.address, to, &tcp))
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy.yaml");
        std::fs::write(&path, POLICY).expect("the policy");
        let policy = gate25::policy::load(&path).expect("a valid policy").policy;
        let tables = compile(&policy, clock::now(), true, |zone| zone as u32 + 1).expect("tables");
        let both = [Direction::Egress, Direction::Return];
        let mut runner = Runner::new(&both, Unmanaged::Pass).expect("root, and both programs");
        runner.install(&tables).expect("tables in the kernel");
        Self { runner, tables }
    }

    pub(crate) fn client(&self, address: &str, port: u16) -> Client {
        let address: IpAddr = address.parse().expect("an address");
        let zone = self.tables.subscribers.get(address).expect("a zone").zone;
        let target = self.tables.targets.get(&zone).copied().unwrap_or_default().of(address.is_ipv6());
        let target = target.map_or((address, 0), |(address, port)| (address.into(), port));
        Client { address, port, target }
    }

    pub(crate) fn run(&mut self, frame: Vec<u8>) -> Code {
        self.runner.run(Direction::Egress, &frame).expect("a test-run").code
    }

    /// A packet from a subscriber is blocked, gets that action, and these events are counted, once each.
    pub(crate) fn expect(&mut self, frame: Vec<u8>, action: Action, events: &[FlowEvent]) {
        let before = self.events();
        let run = self.runner.run(Direction::Egress, &frame).expect("a test-run");
        let verdict = run.verdict.expect("a verdict");
        assert_eq!((verdict.decision, verdict.action, verdict.enforced), (Decision::Block, action, true));
        let code = match action {
            Action::Notice | Action::Relay => Code::Pass,
            Action::Drop => Code::Drop,
            _ => Code::Tx,
        };
        assert_eq!(run.code, code);
        self.counted(before, events);
    }

    /// A packet of the target reaches the subscriber in the name of `remote`.
    pub(crate) fn hears(&mut self, client: &Client, flags: u8, remote: IpAddr, events: &[FlowEvent]) {
        let before = self.events();
        let mut tcp = Tcp::new(client.target.1, client.port, flags);
        (tcp.sequence, tcp.acknowledgement) = (if flags & SYN == 0 { ISN + 1 } else { ISN }, 2);
        let frame = Link::new().carry(packet(client.target.0, client.address, &tcp));
        tcp.source = 25;
        let expected = Link::new().carry(packet(remote, client.address, &tcp));
        let run = self.runner.run(Direction::Return, &frame).expect("a test-run");
        let blocked = run.verdict.is_some_and(|verdict| verdict.decision == Decision::Block);
        assert_eq!((run.code, run.frame, blocked), (Code::Pass, expected, false));
        self.counted(before, events);
    }

    /// A packet of the target that answers another SYN reaches the subscriber as it is.
    pub(crate) fn hears_itself(&mut self, client: &Client, flags: u8) {
        let mut tcp = Tcp::new(client.target.1, client.port, flags);
        tcp.acknowledgement = 0x0bad_cafe;
        let frame = Link::new().carry(packet(client.target.0, client.address, &tcp));
        let run = self.runner.run(Direction::Return, &frame).expect("a test-run");
        assert_eq!((run.code, run.frame), (Code::Pass, frame));
    }

    /// A connection, as far as its first ACK.
    pub(crate) fn established(&mut self, address: &str, port: u16, remote: IpAddr) -> Client {
        let client = self.client(address, port);
        assert_eq!(self.run(client.sends(remote, SYN)), Code::Pass);
        let mut tcp = Tcp::new(client.target.1, port, SYN | ACK);
        (tcp.sequence, tcp.acknowledgement) = (ISN, 2);
        let frame = Link::new().carry(packet(client.target.0, client.address, &tcp));
        let run = self.runner.run(Direction::Return, &frame).expect("a test-run");
        assert_eq!(run.code, Code::Pass);
        assert_eq!(self.run(client.sends(remote, ACK)), Code::Pass);
        client
    }

    /// The packet passes as it came, with that verdict.
    pub(crate) fn passes_untouched(&mut self, frame: Vec<u8>, action: Action) {
        let run = self.runner.run(Direction::Egress, &frame).expect("a test-run");
        let verdict = run.verdict.expect("a verdict");
        assert_eq!(
            (verdict.action, verdict.enforced, run.code, run.frame),
            (action, false, Code::Pass, frame)
        );
    }

    pub(crate) fn without_targets(&mut self) {
        self.runner.set_targets(&HashMap::new()).expect("no targets");
    }

    pub(crate) fn with_targets(&mut self) {
        self.runner.set_targets(&self.tables.targets).expect("targets");
    }

    /// Targets of IPv4 listen so many ports higher.
    pub(crate) fn move_targets(&mut self, ports: u16) {
        let mut targets = self.tables.targets.clone();
        for target in targets.values_mut() {
            target.ipv4_port += ports;
        }
        self.runner.set_targets(&targets).expect("targets");
    }

    /// By the number of the event.
    pub(crate) fn events(&self) -> [u64; FlowEvent::ALL.len()] {
        let snapshot = self.runner.snapshot(std::iter::empty()).expect("counters");
        let mut events = [0; FlowEvent::ALL.len()];
        for (_, event, count) in snapshot.flow_events {
            events[event as usize] += count;
        }
        events
    }

    fn counted(&self, mut before: [u64; FlowEvent::ALL.len()], events: &[FlowEvent]) {
        for event in events {
            before[*event as usize] += 1;
        }
        assert_eq!(self.events(), before, "{:?}", FlowEvent::ALL);
    }
}

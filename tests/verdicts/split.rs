//! Drivers may leave any part of a frame out of the first buffer: where the border lies makes no difference to the verdict.

use crate::bench::{Bench, traced};
use crate::frames::{ipv4, ipv6, relayed, relayed_v6, syn};
use gate25::clock;
use gate25::datapath::testrun::{Code, SHORTEST};
use gate25_common::verdict::{Action, Direction, Verdict};
use gate25_tests::packet::{Extension, Ipv4, Link, Payload, Ppp, Tcp};

#[test]
fn borders() {
    let links = [
        ("ethernet", Link::new()),
        ("QinQ", Link::new().tags(0x8100, 2)),
        ("four tags and PPPoE", Link::new().tags(0x88a8, 4).pppoe(Ppp::Long)),
        ("five tags", Link::new().tags(0x88a8, 5)),
    ];
    let packets: [(&str, Payload); 7] = [
        ("blocked", ipv4(&syn()).into()),
        ("blocked, ipv6", ipv6(&syn()).into()),
        ("options", Ipv4 { options: vec![1; 40], ..ipv4(&syn()) }.into()),
        ("chain", ipv6(&syn()).with(vec![Extension::hop_by_hop(); 3]).into()),
        ("relay", relayed().into()),
        ("relay, ipv6", relayed_v6().into()),
        ("port 587", ipv4(&Tcp::syn(40_000, 587)).into()),
    ];
    let mut bench = Bench::main();
    let mut runs = 0_u32;
    for (link_name, link) in &links {
        for (name, packet) in &packets {
            let frame = [link.carry(packet.clone()), vec![0; 100]].concat();
            let host = bench.host.verdict(Direction::Egress, &frame, clock::now().boot);
            for linear in SHORTEST..frame.len() {
                let Some(run) = bench.split(&frame, linear as u32) else { continue };
                runs += 1;
                let case = format!("{link_name}, {name}, {linear} octets in the first buffer");
                // What lies in two buffers need not be answered, but it must be blocked.
                let silent = Verdict { action: Action::Drop, ..host };
                if host.action == Action::Reset && run.code == Code::Drop {
                    assert_eq!(run.verdict, Some(silent), "{case}");
                } else {
                    assert_eq!(run.verdict, traced(host), "{case}");
                }
                assert_eq!(run.code == Code::Pass, !host.enforced, "{case}");
            }
        }
    }
    // Before Linux 6.18 there is no choice.
    if runs == 0 {
        eprintln!("this kernel's test-run cannot split frames: nothing was tested");
    }
}

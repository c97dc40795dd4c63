use gate25::{
    clock,
    datapath::{object::Unmanaged, testrun::Runner},
    policy::{self, compile::compile},
};
use gate25_common::verdict::Direction;
use std::os::fd::{AsFd, AsRawFd};
const P: &str = r#"
version: 1
zones:
  - {id: silent, subscribers: ["203.0.113.0/25", "10.1.0.0/16", "2001:db8:100::/48"], mode: enforce}
  - {id: prompt, subscribers: ["203.0.113.128/26"], mode: enforce, action: reset}
relays:
  - {id: relay, addresses: ["192.0.2.25"]}
exceptions:
  - {id: lasting, destinations: ["198.51.100.0/24"], permanent: true, owner: a, reason: b}
  - {id: dated, destinations: ["198.51.101.0/24"], until: "2100-01-01T00:00:00Z", owner: a, reason: b}
blocks:
  - {id: blocked, destinations: ["198.51.100.66"], reason: b}
"#;
fn main() {
    let f = std::env::temp_dir().join("hot.yaml");
    std::fs::write(&f, P).unwrap();
    let p = policy::load(&f).unwrap().policy;
    let t = compile(&p, clock::now(), true, |z| z as u32 + 1).unwrap();
    let mut r = Runner::unobserved(&[Direction::Egress], Unmanaged::Pass).unwrap();
    r.install(&t).unwrap();
    let fd = r.xdp().unwrap();
    let mut fr: Vec<u8> = vec![
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 203, 0, 113, 7,
        192, 0, 2, 200,
    ];
    fr.extend([0x9c, 0x40, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    fr.resize(60, 0);
    let mut a = [0u64; 16];
    let n: u32 = 3_000_000;
    for i in 0..std::env::args().nth(1).map_or(40, |x| x.parse().unwrap()) {
        a[0] = fd.as_fd().as_raw_fd() as u64;
        a[1] = (fr.len() as u64);
        a[2] = fr.as_ptr() as u64;
        a[3] = 0;
        a[4] = n as u64;
        let s = unsafe { libc_syscall(10, a.as_mut_ptr(), 80) };
        if i % 10 == 9 {
            println!("{s} {} ns ret {}", a[4] >> 32, a[0] >> 32);
        }
    }
}
unsafe fn libc_syscall(cmd: i64, p: *mut u64, n: u64) -> i64 {
    unsafe extern "C" {
        fn syscall(n: i64, ...) -> i64;
    }
    unsafe { syscall(321, cmd, p, n) }
}

use gate25::policy::{self, compile::{compile, Clock}};
use gate25::tables::pack;
use gate25_common::table::{self, Line, Lines, Table};
use gate25_common::address::Address;
use std::time::Instant;
struct M(Vec<Line>);
impl Lines for M { fn line(&self, n: u32) -> Option<&Line> { self.0.get(n as usize) } }
fn main() {
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let sorted = std::env::args().nth(2).is_some();
    let mut x: u64 = 88172645463325252;
    let mut next = || { x ^= x << 13; x ^= x >> 7; x ^= x << 17; x };
    let mut list: Vec<(u32,u8)> = Vec::new();
    for i in 0..n { let a = next() as u32; let len = if i % 2 == 0 { 32 } else { 8 + (next() % 17) as u8 + 0 }; let len = if len==32 {32} else {[16,17,18,19,20,20,21,21,22,22,22,23,23,24,24,24,24][(len-8) as usize]}; let mask = u32::MAX << (32-len); list.push((a & mask, len)); }
    if sorted { list.sort(); }
    let d = std::env::temp_dir().join("packbench"); std::fs::create_dir_all(&d).unwrap();
    let text: String = list.iter().map(|(a,l)| format!("{}/{}\n", std::net::Ipv4Addr::from(*a), l)).collect();
    std::fs::write(d.join("l.txt"), text).unwrap();
    std::fs::write(d.join("p.yaml"), "version: 1\nzones:\n  - {id: w, subscribers: [\"10.0.0.0/8\"], mode: enforce}\nexceptions:\n  - {id: a, destinations_file: l.txt, permanent: true, owner: a, reason: b}\n").unwrap();
    let t = Instant::now();
    let p = policy::load(&d.join("p.yaml")).unwrap().policy;
    println!("load {:?}", t.elapsed());
    for _ in 0..3 {
    let t = Instant::now();
    let tables = compile(&p, Clock::new(jiff::Timestamp::now(), 0), true, |z| z as u32 + 1).unwrap();
    let c = t.elapsed();
    let t = Instant::now();
    let lines = pack(&tables).unwrap();
    println!("compile {c:?} pack {:?} {} lines {:.1} MB, {} cells", t.elapsed(), lines.len(), lines.len() as f64*64.0/1e6, tables.cells.len());
    let m = M(lines);
    let roots = table::roots(&m, false).unwrap();
    let keys: Vec<u32> = (0..2_000_000).map(|_| next() as u32).collect();
    let inside: Vec<u32> = (0..2_000_000).map(|_| list[(next() % n) as usize].0 | (next() as u32 & 0)).collect();
    for (name, keys) in [("random", &keys), ("inside", &inside)] {
        let t = Instant::now(); let mut s = 0u64;
        for k in keys { s = s.wrapping_add(table::find(&m, roots, Table::Destinations, Address::ipv4(k.to_be_bytes())) as u64); }
        println!("{name} {:.1} ns ({s})", t.elapsed().as_nanos() as f64 / keys.len() as f64);
    }
    }
}

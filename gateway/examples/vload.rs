use aya::{
    EbpfLoader, VerifierLogLevel,
    programs::{SchedClassifier, Xdp},
};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let level = if a.len() > 2 {
        VerifierLogLevel::VERBOSE | VerifierLogLevel::STATS
    } else {
        VerifierLogLevel::STATS
    };
    let bytes = std::fs::read(&a[1]).unwrap();
    let mut e = EbpfLoader::new().verifier_log_level(level).load(&bytes).unwrap();
    for n in ["gate25", "gate25_return"] {
        let t = std::time::Instant::now();
        let p = e.program_mut(n).unwrap();
        let r = if n == "gate25" {
            let x: &mut Xdp = p.try_into().unwrap();
            x.load()
        } else {
            let x: &mut SchedClassifier = p.try_into().unwrap();
            x.load()
        };
        match r {
            Ok(()) => println!(
                "{n} ok {:?} {:?}",
                t.elapsed(),
                p.info().ok().and_then(|i| i.verified_instruction_count())
            ),
            Err(e) => {
                let s = format!("{e:?}");
                let s = s.replace("\\n", "\n");
                println!("{n} FAIL {:?} {}", t.elapsed(), &s[..s.len().min(300)]);
                println!("...{}", &s[s.len().saturating_sub(6000)..]);
            }
        }
    }
}

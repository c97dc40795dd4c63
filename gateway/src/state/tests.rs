use super::*;
use crate::policy::{load, load_kept};
use std::os::unix::fs::PermissionsExt;

const WEST: &str = "version: 1\nzones: [{id: west, subscribers: [203.0.113.0/24]}]\nrelays: [{id: r, addresses: [192.0.2.25]}]\n";

fn at(second: i64) -> Clock {
    Clock::standing_at(Timestamp::from_second(second).unwrap())
}

/// Ticks, and waits for what that wrote.
fn tick(state: &mut State, clock: Clock) {
    state.tick(clock);
    state.finish();
}

/// A policy of two files and two lists, one of which is reached through `..`; and where it is.
fn policy(folder: &Path) -> PathBuf {
    let policies = folder.join("policies");
    fs::create_dir_all(policies.join("lists")).unwrap();
    let rules = "version: 1\nexceptions:\n\
                 - {id: a, destinations_file: lists/a.txt, permanent: true}\n\
                 - {id: b, destinations_file: ../b.txt, permanent: true}\n";
    fs::write(policies.join("a.yaml"), WEST).unwrap();
    fs::write(policies.join("b.yaml"), rules).unwrap();
    fs::write(policies.join("lists/a.txt"), "198.51.100.0/24\r\n").unwrap();
    fs::write(folder.join("b.txt"), "2001:db8::/32").unwrap();
    fs::write(policies.join("README"), "nothing of the policy").unwrap();
    policies
}

#[test]
fn a_policy_is_made_again_of_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (policy(folder.path()), folder.path().join("deep/state"));
    let loaded = load(&path).unwrap();
    let mut kept = State::read(&state, &path);
    kept.keep(loaded.kept.clone(), &loaded.policy.digest);
    kept.installed(at(1_000), &loaded.policy.digest);
    tick(&mut kept, at(1_000));
    assert!(kept.fault.is_none());
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o750);

    fs::remove_dir_all(&path).unwrap();
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    let archived = State::read(&state, &path).kept().unwrap().unwrap();
    assert_eq!((&archived.kept, &archived.digest), (&loaded.kept, &loaded.policy.digest));
    assert_eq!(archived.kept.files.len(), 4);
    let again = load_kept(&archived.kept).unwrap();
    assert_eq!(format!("{:?}", again.policy), format!("{:?}", loaded.policy));

    let elsewhere = folder.path().join("other");
    assert_eq!(State::read(&state, &elsewhere).kept(), Ok(None), "of another policy");
    assert_eq!(State::read(folder.path(), &path).kept(), Ok(None), "none");
}

#[test]
fn an_archive_is_written_when_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (policy(folder.path()), folder.path().join("state"));
    let loaded = load(&path).unwrap();
    let mut kept = State::read(&state, &path);
    let mut written = |contents: &Kept, digest: &str| {
        kept.keep(contents.clone(), digest);
        kept.write();
        fs::metadata(state.join(POLICY)).unwrap().modified().unwrap()
    };
    let first = written(&loaded.kept, "1");
    assert_eq!(written(&loaded.kept, "1"), first);
    let mut other = loaded.kept.clone();
    other.files.values_mut().for_each(|octets| octets.push(b'\n'));
    let second = written(&other, "1");
    assert_ne!(second, first);
    let third = written(&other, "2");
    assert_ne!(third, second);
    assert_eq!(written(&other, "2"), third);
    // What is there may go on behind the archive, or end within it.
    let whole = fs::read(state.join(POLICY)).unwrap();
    for damaged in [[&whole[..], b"\0"].concat(), whole[..whole.len() - 1].to_vec(), Vec::new()] {
        fs::write(state.join(POLICY), damaged).unwrap();
        written(&other, "2");
        assert_eq!(fs::read(state.join(POLICY)).unwrap(), whole);
    }
    assert!(State::read(&state, &path).kept().unwrap().unwrap().kept == other);
}

#[test]
fn the_newest_time_belongs_to_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Path::new("/etc/gate25/policies");
    let mut state = State::read(folder.path(), policy);
    state.installed(at(1_000), "west");
    state.tick(at(5_000));
    state.tick(at(70));
    assert_eq!(state.clock(at(70), "west"), at(70).having_seen(at(5_000).wall));
    assert_eq!(state.clock(at(9_000), "west"), at(9_000));
    assert_eq!(state.clock(at(70), "east"), at(70), "of another policy");
    state.write();
    let read = |policy| State::read(folder.path(), Path::new(policy)).clock(at(70), "west").newest;
    assert_eq!(read("/etc/gate25/policies"), at(5_000).wall);
    assert_eq!(read("/etc/gate25/../gate25/policies"), at(70).wall, "of another path");
    state.installed(at(70), "west");
    assert_eq!(state.clock(at(70), "west"), at(70), "the clock is trusted");
}

#[test]
fn what_is_damaged_is_said_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, folder) = (policy(folder.path()), folder.path().join("state"));
    let loaded = load(&path).unwrap();
    let mut state = State::read(&folder, &path);
    state.keep(loaded.kept, "1");
    state.installed(at(1_000), "1");
    state.write();
    let (tar, json) = (folder.join(POLICY), folder.join(CLOCK));
    let whole = fs::read(&tar).unwrap();
    // Behind the last octet of the last file there is only padding.
    let end = whole.iter().rposition(|octet| *octet != 0).unwrap();
    let archive = |octets: &[u8]| archive::read(Found { octets: octets.to_vec(), written: at(0).wall });
    for length in 0..=end {
        assert!(archive(&whole[..length]).is_err(), "{length} octets");
    }
    for (place, octet) in whole.iter().enumerate() {
        let mut damaged = whole.clone();
        damaged[place] = octet.wrapping_add(1);
        // Some show only in the policy's digest.
        let _ = archive(&damaged);
    }
    fs::write(&tar, &whole[..end]).unwrap();
    assert!(state.kept().unwrap_err().to_string().contains("policy.tar: is damaged: "));
    for text in ["", "{", "null", "{\"time\":\"yesterday\",\"policy\":\"/p\",\"digest\":\"1\"}", "\0\0\0\0"] {
        fs::write(&json, text).unwrap();
        assert!(read(&json, newest::read).unwrap_err().to_string().contains("clock.json: is damaged: "));
        assert_eq!(State::read(&folder, &path).clock(at(70), "1"), at(70));
    }
    for file in [tar, json] {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    assert!(state.kept().unwrap_err().to_string().contains("is no file of gate25"));
    state.write();
    assert!(state.fault.is_some());
}

#[test]
fn it_is_written_once_a_second_at_most_and_a_failure_keeps_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(CLOCK);
    let read = || read(&file, newest::read).unwrap().unwrap().time;
    let mut state = State::read(folder.path(), Path::new("/p"));
    state.installed(at(1_000), "1");
    tick(&mut state, at(1_000));
    assert_eq!(read(), at(1_000).wall);
    state.installed(at(2_000), "1");
    tick(&mut state, at(2_000));
    assert_eq!(read(), at(1_000).wall, "again within the second");
    state.tried = Instant::now().checked_sub(PACE);
    tick(&mut state, at(3_000));
    assert_eq!(read(), at(3_000).wall);
    state.tried = Instant::now().checked_sub(PACE);
    tick(&mut state, at(4_000));
    assert_eq!(read(), at(3_000).wall, "nothing is due");
    state.tried = Instant::now().checked_sub(REFRESH);
    // Nothing can be made there, not even by root.
    fs::create_dir_all(folder.path().join(".clock.json.new/full")).unwrap();
    tick(&mut state, at(5_000));
    assert!(state.fault.is_some());
    assert_eq!(read(), at(3_000).wall);
    fs::remove_dir_all(folder.path().join(".clock.json.new")).unwrap();
    tick(&mut state, at(6_000));
    assert!(state.fault.is_some(), "it waits for a second");
    state.tried = Instant::now().checked_sub(PACE);
    tick(&mut state, at(6_000));
    assert_eq!((state.fault.is_none(), read()), (true, at(6_000).wall));
}

#[test]
fn who_ticks_does_not_wait_for_the_disk_and_nothing_newer_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (policy(folder.path()), folder.path().join("state"));
    let loaded = load(&path).unwrap();
    let mut kept = State::read(&state, &path);
    kept.installed(at(1_000), "1");
    kept.keep(loaded.kept.clone(), "1");
    // A disk that takes its time.
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let slow = kept.unwritten.clone();
    kept.writing = Some(std::thread::spawn(move || {
        let _ = waits.recv_timeout(Duration::from_secs(10));
        Written { policy: Ok(()), kept: slow, newest: Ok(()) }
    }));
    kept.tick(at(2_000));
    assert!(!state.exists(), "it began while it was writing");
    kept.keep(loaded.kept.clone(), "2");
    kept.tick(at(3_000));
    drop(go);
    kept.finish();
    assert_eq!(kept.unwritten.as_ref().unwrap().1, "2", "what came meanwhile is not written");
    assert_eq!(kept.writes, Writes { done: 1, failed: 0 });
    tick(&mut kept, at(4_000));
    assert_eq!(State::read(&state, &path).kept().unwrap().unwrap().digest, "2");
    assert!(kept.unwritten.is_none());
}

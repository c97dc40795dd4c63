use super::*;
use crate::names::file;
use crate::policy::names::Named;
use crate::policy::problem::Position;

const KEEP: Duration = Duration::from_secs(100);

/// So many seconds after the machine started, which was at the epoch.
fn at(seconds: u64) -> Clock {
    let wall = Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    Clock::new(wall, seconds * 1_000_000_000)
}

fn name(key: Key, text: &str) -> Name {
    Name { key, text: text.into() }
}

fn good<T: Ord>(values: impl IntoIterator<Item = T>) -> Found<T> {
    Found { values: values.into_iter().collect(), ttl: Duration::from_mins(1), refused: None }
}

/// A good answer, as one of two.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside failures")]
fn addresses(list: &[&str]) -> Result<Found<IpAddr>, String> {
    Ok(good(list.iter().map(|address| address.parse().unwrap())))
}

fn failed<T>() -> Result<Found<T>, String> {
    Err("no answer in time".into())
}

/// What the one name stands for at that time, in text; and the failure.
fn found(answers: &Answers, name: Name, seconds: u64) -> (String, Option<String>) {
    let row = row(answers, name, seconds);
    (row.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), row.failure)
}

fn row(answers: &Answers, name: Name, seconds: u64) -> Resolved {
    let list = vec![Named { name, file: "p".into(), at: Position::START, place: "names[0]".into() }];
    let names = Names { list, keep_old_for: KEEP };
    answers.resolved("rule", &names, at(seconds).boot).pop().unwrap()
}

fn host() -> Name {
    name(Key::Names, "a.example")
}

#[test]
fn a_good_answer_is_the_truth_and_a_failure_is_not() {
    let mut answers = Answers::default();
    let mut take = |ipv4, ipv6, seconds| {
        let good = answers.take(&host(), Reply::Host([ipv4, ipv6]), at(seconds));
        (good, found(&answers, host(), seconds).0)
    };
    let both = "192.0.2.1 2001:db8::1";
    assert_eq!(take(addresses(&["192.0.2.1"]), addresses(&["2001:db8::1"]), 1), (true, both.into()));
    // Empty in both families, or in one beside a failure: nothing goes.
    assert_eq!(take(addresses(&[]), addresses(&[]), 2), (false, both.into()));
    assert_eq!(take(addresses(&[]), failed(), 3), (false, both.into()));
    assert_eq!(take(failed(), addresses(&[]), 4), (false, both.into()));
    // One family fails: the other's answer is new.
    assert_eq!(take(addresses(&["192.0.2.2"]), failed(), 5), (false, "192.0.2.2 2001:db8::1".into()));
    // One family is gone for good.
    assert_eq!(take(addresses(&["192.0.2.2"]), addresses(&[]), 6), (true, "192.0.2.2".into()));
}

#[test]
fn an_old_answer_holds_from_its_confirmation_and_a_current_one_for_good() {
    let mut answers = Answers::default();
    answers.take(&host(), Reply::Host([addresses(&["192.0.2.1"]), addresses(&[])]), at(10));
    // Nobody failed yet: a long TTL does not end it.
    assert_eq!(found(&answers, host(), 1_000).0, "192.0.2.1");
    answers.take(&host(), Reply::Host([failed(), failed()]), at(50));
    assert_eq!(found(&answers, host(), 109), ("192.0.2.1".into(), Some("no answer in time".into())));
    assert_eq!(found(&answers, host(), 110).0, "");
    answers.take(&host(), Reply::Host([addresses(&["192.0.2.1"]), addresses(&[])]), at(120));
    assert_eq!(found(&answers, host(), 120), ("192.0.2.1".into(), None));
}

#[test]
fn exchangers_and_their_addresses_are_answers_of_their_own() {
    let mut answers = Answers::default();
    let domain = || name(Key::Mx, "campus.example");
    let texts = |list: &[&str]| Reply::Exchangers(Ok(good(list.iter().map(|host| (*host).to_owned()))));
    answers.take(&domain(), texts(&["a.example", "b.example"]), at(1));
    let wanted = BTreeMap::from([(domain(), KEEP)]);
    assert_eq!(answers.with_exchangers(&wanted).len(), 3);
    assert!(!row(&answers, domain(), 1).takes_no_mail, "nothing is known of the exchangers");
    assert!(!answers.are_known(&wanted, at(1).boot), "the exchangers were not asked for");
    answers.take(&host(), Reply::Host([addresses(&["192.0.2.1"]), addresses(&[])]), at(2));
    answers.take(&name(Key::Names, "b.example"), Reply::Host([failed(), failed()]), at(2));
    assert!(answers.are_known(&wanted, at(2).boot));
    assert_eq!(
        found(&answers, domain(), 2),
        ("192.0.2.1".into(), Some("b.example: no answer in time".into()))
    );
    answers.take(&domain(), Reply::Exchangers(failed()), at(3));
    assert_eq!(found(&answers, domain(), 100).0, "192.0.2.1");
    assert_eq!(found(&answers, domain(), 101).0, "");
    // It takes no mail any more, which is an answer; nobody asks for its exchangers then, and they are forgotten.
    answers.take(&domain(), texts(&[]), at(4));
    assert_eq!(found(&answers, domain(), 4), (String::new(), None));
    assert!(row(&answers, domain(), 4).takes_no_mail);
    assert!(!row(&Answers::default(), domain(), 4).takes_no_mail, "nobody answered");
    answers.prune(&wanted);
    assert_eq!((answers.hosts.len(), answers.domains.len()), (0, 1));
}

#[test]
fn only_so_many_addresses_of_a_name_are_taken() {
    let mut answers = Answers::default();
    let many: Vec<String> = (0..200).map(|index| format!("192.0.2.{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    answers.take(&host(), Reply::Host([addresses(&many), addresses(&["2001:db8::1"])]), at(1));
    assert_eq!(found(&answers, host(), 1).0.split(' ').count(), MAX_ADDRESSES);
}

#[test]
fn what_was_written_is_known_again_as_old_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/names.json");
    assert_eq!(file::read(&path, at(1)), Ok(Answers::default()), "no file");
    let mut answers = Answers::default();
    answers.take(&host(), Reply::Host([addresses(&["192.0.2.1"]), addresses(&["2001:db8::1"])]), at(1_000));
    answers.take(
        &name(Key::Mx, "c.example"),
        Reply::Exchangers(Ok(good(["a.example".to_owned()]))),
        at(1_000),
    );
    file::write(&path, &answers).unwrap();
    assert!(!path.with_extension("json.new").exists());

    // Another boot, half a minute later by the wall clock.
    let again = |wall: u64| {
        let now = Clock { boot: 5_000_000_000, ..at(wall) };
        file::read(&path, now).unwrap()
    };
    let read = again(1_030);
    assert!(read.say_the_same(&answers));
    assert_eq!(found(&read, host(), 5).0, "192.0.2.1 2001:db8::1");
    // It is not current: it ends without any failure, 100 s after it was confirmed.
    assert_eq!(found(&read, host(), 74).0, "192.0.2.1 2001:db8::1");
    assert_eq!(found(&read, host(), 75).0, "");
    assert!(!read.are_known(&BTreeMap::from([(host(), KEEP)]), at(75).boot), "it is waited for");
    // A clock that stands in 1970 makes nothing older.
    assert_eq!(found(&again(0), host(), 5).0, "192.0.2.1 2001:db8::1");

    for garbage in ["", "{", "[]", "{\"version\":2,\"hosts\":{},\"domains\":{}}", "\0\0"] {
        std::fs::write(&path, garbage).unwrap();
        let fault = file::read(&path, at(1)).expect_err(garbage).to_string();
        assert!(fault.contains("names.json: is not as gate25 wrote it ("), "{fault}");
    }
    let foreign = r#"{"version":1,"hosts":{"a.example":{"ipv4":{"values":["127.0.0.1","192.0.2.1"],"confirmed":"1970-01-01T00:00:01Z"}}},"domains":{}}"#;
    std::fs::write(&path, foreign).unwrap();
    assert_eq!(found(&file::read(&path, at(1)).unwrap(), host(), 1).0, "192.0.2.1");
}

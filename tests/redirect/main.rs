//! Redirected connections, both ways, frame by frame: test-runs of both programs over the same tables.
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::Runner;
use gate25_common::verdict::Direction;

#[test]
fn loads() {
    if let Err(fault) = Runner::new(&[Direction::Return], Unmanaged::Pass) {
        panic!("{fault}");
    }
}

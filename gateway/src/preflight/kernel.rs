//! The kernel, what this process may do there, and its clock.

use super::{Line, Status};
use jiff::Timestamp;
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;
use std::path::Path;

/// The oldest kernel that will do.
const OLDEST: (u32, u32) = (6, 1);
/// The first one with tcx.
const TCX: (u32, u32) = (6, 6);
/// No clock of a node that runs this is before: 2026-01-01.
const PLAUSIBLE: i64 = 1_767_225_600;

pub(super) fn lines(needs_return: bool) -> Vec<Line> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut lines = vec![version(&release), btf(Path::new("/sys/kernel/btf/vmlinux")), jit(), privileges()];
    if needs_return {
        let hook = if number(&release) >= Some(TCX) { "tcx" } else { "clsact" };
        lines.push(Line::ok("return path", hook, "tcx (Linux 6.6), or else clsact"));
    }
    lines.push(clock(Timestamp::now()));
    lines.extend(synchronised());
    lines
}

fn version(release: &str) -> Line {
    let line = Line::ok("kernel", format!("Linux {release}"), "Linux 6.1 or newer");
    match number(release) {
        Some(version) if version >= OLDEST => line,
        Some(_) => line.but(Status::Fail, "run a newer kernel"),
        None => line.but(Status::Warn, "its number cannot be read; see that it is new enough"),
    }
}

/// The first two numbers of `6.18.5-amd64`.
fn number(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn btf(file: &Path) -> Line {
    let line = |found: &str| Line::ok("BTF", found, format!("{}, readable", file.display()));
    match fs::File::open(file) {
        Ok(_) => line("there"),
        Err(error) if file.exists() => line(&error.to_string()).but(Status::Fail, "make it readable"),
        Err(_) => line("none").but(Status::Fail, "run a kernel with CONFIG_DEBUG_INFO_BTF=y"),
    }
}

fn jit() -> Line {
    let line = |found: &str| Line::ok("BPF JIT", found, "on");
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => line("off").but(
            Status::Warn,
            "sysctl net.core.bpf_jit_enable=1, or each packet costs several times as much",
        ),
        Ok(_) => line("on"),
        // Only root sees it, and only in the first network namespace.
        Err(_) => Line::unknown("BPF JIT", "on", "look as root, in the first network namespace"),
    }
}

/// Whether this process may load programs.
pub(super) fn is_privileged() -> bool {
    missing().is_empty()
}

fn missing() -> Vec<&'static str> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let needed = [
        ("CAP_BPF", CapabilitySet::BPF | CapabilitySet::SYS_ADMIN),
        ("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN),
        ("CAP_PERFMON", CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN),
    ];
    needed.into_iter().filter(|(_, any)| !effective.intersects(*any)).map(|(name, _)| name).collect()
}

fn privileges() -> Line {
    let needed = "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
    match missing().as_slice() {
        [] => Line::ok("privileges", "all", needed),
        missing => Line::ok("privileges", format!("without {}", missing.join(", ")), needed)
            .but(Status::Fail, "run it as root, or with these capabilities, as gate25.service does"),
    }
}

fn clock(now: Timestamp) -> Line {
    let line =
        Line::ok("clock", now.strftime("%Y-%m-%dT%H:%M:%SZ"), "the right time, by which exceptions end");
    if now.as_second() < PLAUSIBLE {
        return line
            .but(Status::Fail, "set it (`timedatectl set-time`), or exceptions that ended hold again");
    }
    line
}

/// Whether something keeps the clock right; `None` where the kernel does not say.
fn synchronised() -> Option<Line> {
    // SAFETY: integers only; with no mode set the kernel changes nothing and fills it.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it is a valid timex, and outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut clock) };
    let line = |found: &str| Line::ok("clock synchronised", found, "yes");
    match state {
        ..0 => None,
        _ if clock.status & libc::STA_UNSYNC == 0 => Some(line("yes")),
        _ => Some(
            line("the kernel knows of nothing that does")
                .but(Status::Warn, "run systemd-timesyncd, chrony or another NTP client"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_and_clocks_are_told() {
        let said = |line: Line| (line.status, line.found);
        assert_eq!(said(version("6.0.19-amd64")), (Status::Fail, "Linux 6.0.19-amd64".to_owned()));
        assert_eq!(said(version("5.15.0")).0, Status::Fail);
        for release in ["6.1.0", "6.1-rc3", "6.18.5", "7.0.0"] {
            assert_eq!(said(version(release)).0, Status::Ok, "{release}");
        }
        assert_eq!(said(version("mainline")).0, Status::Warn);
        let instant = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            said(clock(instant("1970-01-01T00:00:10Z"))),
            (Status::Fail, "1970-01-01T00:00:10Z".to_owned())
        );
        assert_eq!(said(clock(instant("2026-06-01T00:00:00Z"))).0, Status::Ok);
        let none = btf(Path::new("/nowhere/vmlinux"));
        assert_eq!(
            none.to_string(),
            "BTF: none: needed: /nowhere/vmlinux, readable (run a kernel with CONFIG_DEBUG_INFO_BTF=y)"
        );
    }
}

//! A Debian machine with a systemd of its own, in the place of a lab's edge: a folder, and namespaces for everything else.

use crate::{
    command::{self, Ended},
    lab::Lab,
    namespace::checked,
    process::{Process, Signal},
    wait,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// For a boot, and for each command.
const PATIENCE: Duration = Duration::from_secs(90);

/// Of what runs on it.
const ENVIRONMENT: [&str; 2] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"];

/// `$0` is the machine's root folder, `$1` the lab's mark: the name of a group of processes (in the hierarchy of the second
/// version, whatever else the host has), which is the root of the machine's groups, so that no two machines share any.
const GROUP: &str = r#"
mount -t cgroup2 cgroup "$0/mnt"
mkdir -p "$0/mnt/$1"
echo $$ > "$0/mnt/$1/cgroup.procs"
umount "$0/mnt"
exec unshare --pid --ipc --uts --cgroup --fork --kill-child sh -ec "$2" "$0"
"#;

/// `$0` is the machine's root folder. Settings of the kernel are everybody's, so they are read-only.
const BOOT: &str = r#"
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
for folder in run tmp; do mount -t tmpfs -o mode=755 tmpfs $folder; done
chmod 1777 tmp
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
exec env -i container=gate25-lab PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd
"#;

/// The machine; what runs on it ends with it, the folder stays until the lab goes.
#[derive(Debug)]
pub struct Machine<'lab> {
    lab: &'lab Lab,
    /// Of the machine's first process, outside.
    id: u32,
    first: Process,
}

impl<'lab> Machine<'lab> {
    /// Unpacks a clean Debian; nothing runs.
    pub fn install(lab: &Lab) -> Result<PathBuf> {
        let archive = crate::workspace().join(".tools/debian.tar");
        ensure!(archive.is_file(), "{}: not there (cargo xtask setup makes it)", archive.display());
        let root = lab.folder().join("debian");
        fs::create_dir(&root).with_context(|| root.display().to_string())?;
        checked(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&root))?;
        // There is no console.
        let console = root.join("etc/systemd/system/console-getty.service");
        std::os::unix::fs::symlink("/dev/null", console)?;
        Ok(root)
    }

    /// Runs a line of shell in what [`Self::install`] unpacked, where nothing else runs; an error unless it succeeds.
    pub fn chroot(lab: &Lab, root: &Path, line: &str) -> Result<()> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]);
        command.arg(r#"mount -t proc proc "$0/proc"; exec env -i $2 chroot "$0" sh -ec "$1""#);
        command.arg(root).args([line, ENVIRONMENT.join(" ").as_str()]);
        succeeded(line, command::finish(&lab.edge, command, PATIENCE)?).map(drop)
    }

    /// Boots what [`Self::install`] unpacked, and awaits that everything that starts with the machine has started.
    pub fn boot(lab: &'lab Lab, root: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", GROUP]).arg(root).args([lab.mark(), BOOT]);
        let log = File::create(lab.folder().join("boot.log"))?;
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let first = lab.edge.spawn(command)?;
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        // Others come and go before.
        let id = || {
            let id: u32 = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
            (fs::read_to_string(format!("/proc/{id}/comm")).ok()? == "systemd\n").then_some(id)
        };
        let id = wait::until(PATIENCE, id).context("no systemd was started")?;
        let machine = Self { lab, id, first };
        let booted = || {
            let state = machine.run("systemctl is-system-running").ok()?;
            ["running", "degraded"].contains(&state.stdout.trim()).then_some(state)
        };
        let state = wait::until(PATIENCE, booted).with_context(|| {
            let log = fs::read_to_string(lab.folder().join("boot.log")).unwrap_or_default();
            format!("the machine does not boot in {PATIENCE:?}; it wrote:\n{log}")
        })?;
        let failed = machine.run("systemctl --failed --no-legend --plain")?;
        ensure!(
            state.stdout.trim() == "running",
            "the machine is {}: {}",
            state.stdout.trim(),
            failed.stdout
        );
        Ok(machine)
    }

    /// Runs a line of shell on it as root, whatever comes of it.
    pub fn run(&self, line: &str) -> Result<Ended> {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.id.to_string());
        command.args(["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd"]);
        command.args(["env", "-i"]).args(ENVIRONMENT).args(["sh", "-c", line]);
        command::finish(&self.lab.edge, command, PATIENCE)
    }

    /// The same; an error unless it succeeds. What it wrote to standard output.
    pub fn ok(&self, line: &str) -> Result<String> {
        succeeded(line, self.run(line)?)
    }

    /// What is on its journal about a unit.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.ok(&format!("journalctl --no-pager --output=cat --unit={unit}"))
    }
}

impl Drop for Machine<'_> {
    /// As when the power fails.
    fn drop(&mut self) {
        self.first.signal(Signal::SIGKILL);
        // The first process is the last that goes.
        wait::until(PATIENCE, || (!Path::new(&format!("/proc/{}", self.id)).exists()).then_some(()));
    }
}

fn succeeded(line: &str, ended: Ended) -> Result<String> {
    ensure!(ended.code == Some(0), "{line}: {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
    Ok(ended.stdout)
}

//! A wall clock for one process that can be set. The machine's stays; so do the boot clock and the monotonic one.

use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Puts what the file `GATE25_TEST_CLOCK` says, in seconds, onto the wall clock.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, id, now);
    const char *path = getenv("GATE25_TEST_CLOCK");
    if (result == 0 && id == CLOCK_REALTIME && path) {
        char text[32] = {0};
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"#;

/// A clock that begins with the right time.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Makes one, in that folder. Needs `cc`.
    pub fn new(folder: &Path) -> Result<Self> {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        fs::write(&source, LIBRARY)?;
        let mut command = Command::new("cc");
        let command = command.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
        ensure!(command.status().context("cannot start cc")?.success(), "cc: {}", source.display());
        let clock = Self { library, file: folder.join("clock") };
        clock.set(0)?;
        Ok(clock)
    }

    /// Has the command go by it.
    pub fn wind(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("GATE25_TEST_CLOCK", &self.file);
    }

    /// Sets it so many seconds ahead of the right time, or behind.
    pub fn set(&self, ahead: i64) -> Result<()> {
        crate::policy::put(&self.file, &ahead.to_string())
    }
}

//! Network namespaces and tap interfaces, without root.

use crate::failure::ErrorContext;
use crate::{Failure, Outcome};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::process::Command;

/// Frames that the tap queues for the emulator: a whole run of 10,000 datagrams.
const TAP_QUEUE: &str = "20000";

/// Makes the process the owner of a user namespace, in which it may create network namespaces. Must be called
/// before the first thread is started.
///
/// In a chroot the kernel refuses user namespaces [user_namespaces(7)]; root does not need one there.
///
/// # Errors
/// The kernel refuses and the user is not root.
pub fn become_owner() -> Outcome {
    let (user, group) = (geteuid(), getegid());
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => {
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("0 {user} 1"))?;
            write("/proc/self/gid_map", &format!("0 {group} 1"))
        }
        Err(_) if user.is_root() => Ok(()),
        Err(error) => Err(error).context(
            "creating a user namespace (Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; Debian: \
             sudo sysctl kernel.unprivileged_userns_clone=1; or run this as root)",
        ),
    }
}

fn write(path: &str, text: &str) -> Outcome {
    std::fs::write(path, text).context(path)
}

/// Moves the calling thread, with the processes it starts from now on, into a network namespace of its own, with a
/// loopback interface.
///
/// # Errors
/// The kernel refuses, or `ip` fails.
pub fn enter() -> Outcome {
    unshare(CloneFlags::CLONE_NEWNET).context("creating a network namespace")?;
    ip(&["link", "set", "lo", "up"])
}

/// Gives the namespace a tap interface for each name, the first with the peer's address 10.0.5.1/24, the second with
/// 10.0.6.1/24, and so on.
///
/// # Errors
/// `ip` fails.
pub fn add_peers(taps: &[&str]) -> Outcome {
    for (index, tap) in taps.iter().enumerate() {
        add_tap(tap)?;
        ip(&["addr", "add", &format!("10.0.{}.1/24", 5 + index), "dev", tap])?;
        ip(&["link", "set", "dev", tap, "up"])?;
    }
    Ok(())
}

/// Adds a tap interface that the emulator will open.
///
/// # Errors
/// `ip` fails.
pub fn add_tap(name: &str) -> Outcome {
    ip(&["tuntap", "add", "dev", name, "mode", "tap"]).map_err(tap_refused)?;
    prepare(name)
}

/// Prepares a tap interface that exists.
///
/// # Errors
/// `ip` fails.
pub fn prepare(tap: &str) -> Outcome {
    // Router solicitations and the like would be noise in the captures.
    ip(&["link", "set", "dev", tap, "addrgenmode", "none"])?;
    ip(&["link", "set", "dev", tap, "txqueuelen", TAP_QUEUE])
}

/// Adds to the reason why a tap interface could not be made what to do about it.
#[must_use]
pub fn tap_refused(failure: Failure) -> Failure {
    match std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Failure::Wrong(format!(
            "/dev/net/tun is closed to this user (its usual mode is 666): sudo chmod 666 /dev/net/tun; {failure}"
        )),
        Err(error) => Failure::Wrong(format!("/dev/net/tun: {error}: sudo modprobe tun; {failure}")),
        Ok(_) => failure,
    }
}

/// Runs `ip` of iproute2.
///
/// # Errors
/// It is not installed, or it fails.
pub fn ip(arguments: &[&str]) -> Outcome {
    iproute2("ip", arguments).map(drop)
}

/// Runs a program of iproute2 and returns its output.
///
/// # Errors
/// As [`ip`].
pub fn iproute2(program: &str, arguments: &[&str]) -> Outcome<String> {
    let starting = format!("starting {program} (package iproute2)");
    let output = Command::new(program).args(arguments).output().context(starting)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::Program { program: format!("{program} {}", arguments.join(" ")), output: said })
}

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

/// Moves the calling thread, with the processes it starts from now on, into a network namespace of its own: a
/// loopback interface and a tap interface for each name, the first with the peer's address 10.0.5.1/24, the second
/// with 10.0.6.1/24, and so on.
///
/// # Errors
/// The kernel refuses, or `ip` fails.
pub fn enter_network(taps: &[&str]) -> Outcome {
    unshare(CloneFlags::CLONE_NEWNET).context("creating a network namespace")?;
    ip(&["link", "set", "lo", "up"])?;
    for (index, tap) in taps.iter().enumerate() {
        ip(&["tuntap", "add", "dev", tap, "mode", "tap"]).map_err(tap_refused)?;
        // Router solicitations and the like would be noise in the captures.
        ip(&["link", "set", "dev", tap, "addrgenmode", "none"])?;
        ip(&["link", "set", "dev", tap, "txqueuelen", TAP_QUEUE])?;
        ip(&["addr", "add", &format!("10.0.{}.1/24", 5 + index), "dev", tap])?;
        ip(&["link", "set", "dev", tap, "up"])?;
    }
    Ok(())
}

/// Adds to the reason why a tap interface could not be made what to do about it.
fn tap_refused(failure: Failure) -> Failure {
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
    let output = Command::new("ip").args(arguments).output().context("starting ip (package iproute2)")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::Program { program: format!("ip {}", arguments.join(" ")), output: said })
}

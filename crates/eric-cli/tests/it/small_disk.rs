//! A disk that is small: a tmpfs in a mount namespace of its own, which is gone with the processes in it.
//!
//! A user namespace makes that possible without being root; where the system allows neither, the tests that need it
//! fail and say what to allow, for a hub that was never on a full disk is not known to bear one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::folder::Folder;
use crate::hub::{PATIENCE, serve};

const MIB: usize = 1024 * 1024;

/// Gone when dropped, and when no hub is on it any more.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: Folder,
    /// Holds the namespace.
    holder: Child,
    is_users: bool,
}

impl SmallDisk {
    /// Mounts one of this size.
    pub(crate) async fn mount(mib: usize) -> Self {
        let mut refusals = Vec::new();
        for namespaces in [&["--mount", "--map-root-user"][..], &["--mount"]] {
            match Self::try_mount(mib, namespaces).await {
                Ok(disk) => return disk,
                Err(why) => refusals.push(format!("unshare {}: {why}", namespaces.join(" "))),
            }
        }
        panic!(
            "a tmpfs is needed and cannot be mounted: {refusals:#?}\nallow user namespaces (sysctl \
             kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), or in a container run \
             as root with --cap-add SYS_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined"
        );
    }

    async fn try_mount(mib: usize, namespaces: &[&str]) -> Result<Self, String> {
        let folder = Folder::create();
        let script = r#"mount -t tmpfs -o "size=$2m,mode=700" tmpfs "$1" && echo mounted && exec cat"#;
        let mut holder = Command::new("unshare");
        holder.args(namespaces).args(["sh", "-c", script, "sh"]).arg(folder.path()).arg(mib.to_string());
        holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut holder = holder.spawn().map_err(|error| error.to_string())?;
        let mut said = BufReader::new(holder.stdout.take().expect("it is piped")).lines();
        let line =
            timeout(PATIENCE, said.next_line()).await.expect("it says something").expect("it is UTF-8");
        if line.as_deref() == Some("mounted") {
            return Ok(Self { folder, holder, is_users: namespaces.contains(&"--map-root-user") });
        }
        let output = holder.wait_with_output().await.expect("it ends");
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// A command that sees it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let holder = self.holder.id().expect("it is there for as long as this").to_string();
        let mut command = Command::new("nsenter");
        if self.is_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--mount", "--target", &holder, "--"]).arg(program);
        command
    }

    /// `eric serve` on the directory `data` of it, with further flags.
    pub(crate) fn serve(&self, flags: &[&str]) -> Command {
        let serve = serve(flags);
        let serve = serve.as_std();
        let mut command = self.command(serve.get_program());
        command.args(serve.get_args()).args(["--listen", "127.0.0.1:0"]);
        command.arg("--engine").arg(format!("file:{}", self.folder.file("data")));
        command
    }

    /// Makes it read-only. A disk on which files are open for writing refuses that; there, a mount of the same disk
    /// comes over it: those files can still be written, and everything that is opened, made or renamed is refused.
    pub(crate) async fn make_read_only(&self) {
        let script =
            r#"mount -o remount,ro "$1" || (mount --bind "$1" "$1" && mount -o remount,bind,ro "$1")"#;
        self.run(script).await;
    }

    pub(crate) async fn make_writable(&self) {
        let script = r#"mount -o remount,rw "$1" || umount "$1""#;
        self.run(script).await;
    }

    async fn run(&self, script: &str) {
        let mut shell = self.command("sh");
        let output =
            shell.args(["-c", script, "sh"]).arg(self.folder.path()).output().await.expect("sh is there");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The path of something on it, as one sees it from outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let holder = self.holder.id().expect("it is there for as long as this");
        let inside = self.folder.path().join(name);
        Path::new(&format!("/proc/{holder}/root")).join(inside.strip_prefix("/").expect("it is absolute"))
    }

    /// Takes room away.
    pub(crate) fn put_ballast(&self, mib: usize) {
        File::create(self.path("ballast"))
            .and_then(|mut file| file.write_all(&vec![1; mib * MIB]))
            .expect("there is room");
    }

    /// Gives it back.
    pub(crate) fn remove_ballast(&self) {
        fs::remove_file(self.path("ballast")).expect("it is there");
    }
}

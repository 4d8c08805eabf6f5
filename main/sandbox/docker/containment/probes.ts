/** What an agent could try from inside its sandbox, as commands whose output must show that it did not work. */

export interface Probe {
  name: string;
  /** A bash command; what it exits with does not matter. */
  command: string;
  /** What the output must match. */
  shows: RegExp;
  /** What it must not match. */
  never?: RegExp;
}

/** A system call by number through Python, printing its error's name. x86-64 and arm64 number some calls differently. */
function syscall(x86: number, arm: number, ...args: string[]): string {
  const list = args.length === 0 ? "" : `, ${args.join(", ")}`;
  return `python3 - <<'PY'
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
number = ${arm} if platform.machine() == "aarch64" else ${x86}
result = libc.syscall(number${list})
print("allowed" if result >= 0 else "refused " + errno.errorcode[ctypes.get_errno()])
PY`;
}

const STATUS = (field: string): string => `grep ^${field}: /proc/self/status`;

export const PROBES: readonly Probe[] = [
  { name: "it is not root", command: "id -u; id -G", shows: /^1000\n1000$/ },
  {
    name: "no capability is held, now or through a program",
    command: `${STATUS("CapPrm")}; ${STATUS("CapEff")}; ${STATUS("CapBnd")}; ${STATUS("CapAmb")}`,
    shows: /^(Cap\w+:\s0{16}\n?){4}$/,
  },
  { name: "set-user-id programs give nothing", command: STATUS("NoNewPrivs"), shows: /NoNewPrivs:\s1/ },
  { name: "system calls are filtered", command: STATUS("Seccomp"), shows: /Seccomp:\s2/ },
  { name: "su does not make root", command: "echo x | su -c id root 2>&1", shows: /./, never: /uid=0/ },
  {
    name: "nothing can be mounted",
    command: "mount -t tmpfs none /mnt 2>&1",
    shows: /denied|permitted|must be superuser/,
  },
  { name: "no user namespace", command: "unshare -Ur id 2>&1", shows: /not permitted|failed/, never: /uid=0/ },
  { name: "no new mount namespace", command: syscall(272, 97, "0x00020000"), shows: /^refused (EPERM|ENOSYS)$/ },
  { name: "no bpf", command: syscall(321, 280, "0", "0", "0"), shows: /^refused (EPERM|ENOSYS)$/ },
  { name: "no keyring of the machine", command: syscall(250, 219, "0", "-3", "1"), shows: /^refused (EPERM|ENOSYS)$/ },
  { name: "no kernel modules", command: syscall(175, 105, "0", "0", "0"), shows: /^refused (EPERM|ENOSYS)$/ },
  {
    name: "no reboot",
    command: syscall(169, 142, "0xfee1dead", "672274793", "0x1234567", "0"),
    shows: /^refused EPERM$/,
  },
  { name: "no swap", command: syscall(167, 224, "0", "0"), shows: /^refused EPERM$/ },
  {
    name: "no file handles of the machine's disk",
    command: syscall(304, 265, "-100", "0", "0"),
    shows: /^refused (EPERM|ENOSYS)$/,
  },
  {
    name: "no raw sockets",
    command: "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)' 2>&1 | tail -1",
    shows: /PermissionError/,
  },
  { name: "the clock cannot be set", command: "date -s '2000-01-01' 2>&1 | head -1", shows: /Operation not permitted/ },
  {
    name: "no engine socket is in it",
    command:
      "find / -xdev -type s 2>/dev/null; ls /var/run/docker.sock /run/docker.sock /run/containerd 2>&1; echo end",
    shows: /end$/,
    never: /^\/(?!.*(No such|cannot))/m,
  },
  {
    name: "no folder of the machine is in it",
    // Docker's own three files are made by the engine for this container.
    command:
      "awk '{print $2, $3}' /proc/mounts | grep -vE '^/(proc|sys|dev)( |/)|^/etc/(hosts|hostname|resolv.conf) |^/sys/fs/cgroup'",
    shows: /^(\/ \S+|\/tmp tmpfs|(\/usr)?\/sbin\/docker-init \S+|\n)+$/,
  },
  { name: "processes of the machine are not seen", command: "ls -d /proc/[0-9]* | wc -l", shows: /^\d{1,2}$/ },
  {
    name: "kernel settings are read-only",
    command: "echo 1 > /proc/sys/kernel/core_pattern",
    shows: /Read-only|denied/i,
  },
  { name: "sysrq is closed", command: "echo b > /proc/sysrq-trigger", shows: /Read-only|denied|No such/i },
  {
    name: "the machine's memory is masked",
    command: "head -c 1 /proc/kcore | wc -c; ls /dev/mem 2>&1",
    shows: /(^|\n)0\n.*No such/s,
  },
  {
    name: "control groups cannot be changed",
    command: "find /sys/fs/cgroup -writable 2>/dev/null | head -1; echo end",
    shows: /^end$/,
  },
  {
    name: "no device can be made",
    command: "mknod /tmp/sda b 8 0 2>&1; echo; ls /tmp/sda 2>&1",
    shows: /not permitted[\s\S]*No such/,
  },
  {
    name: "no disk is in /dev",
    command: "find /dev -type b; ls /dev | tr '\\n' ' '",
    shows: /null/,
    never: /sd|vd|nvme|loop|kmsg|kvm/,
  },
  {
    name: "its runner's program is not its own",
    command: "ls -ld /opt/longhaul; find /opt/longhaul -writable",
    shows: /^d\S+ \d+ root root .*$/,
  },
  {
    name: "attached files stay as they are",
    command: "touch /mnt/session/uploads/x; mv /mnt/session/uploads /mnt/session/u2; ls -d /mnt/session/uploads 2>&1",
    shows: /\/mnt\/session\/uploads$/,
  },
  {
    name: "its first process cannot be killed from inside",
    command: "kill -9 1; sleep 0.1; echo alive",
    shows: /alive$/,
  },
  {
    name: "processes are limited",
    command: "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null",
    shows: /^\d+$/,
  },
  {
    name: "memory is limited",
    command: "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null",
    shows: /^\d{8,11}$/,
  },
  {
    name: "/tmp is limited",
    command: "dd if=/dev/zero of=/tmp/fill bs=1M count=3000 2>&1; rm -f /tmp/fill",
    shows: /No space left/,
  },
  {
    name: "/dev/shm is limited",
    command: "dd if=/dev/zero of=/dev/shm/fill bs=1M count=3000 2>&1; rm -f /dev/shm/fill",
    shows: /No space left/,
  },
  {
    name: "no secret is in its environment",
    command: "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | sort -u",
    shows: /PATH=/,
    never: /KEY|TOKEN|SECRET|PASSWORD|ANTHROPIC/i,
  },
];

/** Paths that the file tools must refuse, with what is done there first. */
export const PATH_PROBES: readonly { name: string; prepare: string; path: string }[] = [
  { name: "a link to a file of the system", prepare: "ln -sf /etc/passwd link1", path: "link1" },
  { name: "a link to a link", prepare: "ln -sf /etc link2a; ln -sf link2a link2b", path: "link2b/passwd" },
  { name: "a link to the memory of a process", prepare: "ln -sf /proc/self/mem link3", path: "link3" },
  { name: "a link to the root of another process", prepare: "ln -sf /proc/1/root link4", path: "link4/etc/passwd" },
  { name: "an open file by its number", prepare: "true", path: "/proc/self/fd/0" },
  { name: "a device", prepare: "ln -sf /dev/zero link5", path: "link5" },
  { name: "a terminal", prepare: "true", path: "/dev/tty" },
  { name: "the runner's state", prepare: "ln -sf /var/lib/longhaul link6", path: "link6/x" },
  { name: "the runner's program", prepare: "true", path: "/opt/longhaul/runner" },
  { name: "a link that leads in a circle", prepare: "ln -sf loop2 loop1; ln -sf loop1 loop2", path: "loop1" },
  { name: "a path that climbs", prepare: "true", path: "a/../../../etc/passwd" },
  { name: "a very long path", prepare: "true", path: `/workspace/${"a/".repeat(3000)}b` },
];

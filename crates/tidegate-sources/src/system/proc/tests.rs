//! Texts recorded on a Debian 12 machine with two cores (Linux 6.1), shortened.

use super::*;

#[test]
fn ticks_of_all_and_of_each() {
    let text = "\
cpu  81177 3 18137 309749 4865 7 1429 91 0 0
cpu0 38089 0 8490 158662 2118 0 338 47 0 0
cpu1 43088 3 9647 151087 2746 7 1090 44 0 0
intr 14017353 0 9 0 0
ctxt 10509044
btime 1795295239
";
    let found = cpus(text);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["total", "cpu0", "cpu1"]);
    assert_eq!(found[0].1, CpuTicks { user: 81180, system: 19573, idle: 309749, iowait: 4865, steal: 91 });
    assert_eq!(cpus("cpu  1 2 3\n"), []);
}

#[test]
fn an_old_kernel_says_less() {
    assert_eq!(cpus("cpu0 1 2 3 4\n")[0].1, CpuTicks { user: 3, system: 3, idle: 4, iowait: 0, steal: 0 });
    let memory = memory("MemTotal: 8 kB\nMemFree: 4 kB\n").expect("memory");
    assert_eq!(memory, Memory { total: 8192, available: 4096, swap_total: 0, swap_free: 0 });
}

#[test]
fn memory_is_in_bytes() {
    let text = "\
MemTotal:       24684092 kB
MemFree:        22364376 kB
MemAvailable:   24228604 kB
SwapCached:            0 kB
SwapTotal:       2097148 kB
SwapFree:        2097000 kB
";
    let expected = Memory {
        total: 24_684_092 * 1024,
        available: 24_228_604 * 1024,
        swap_total: 2_097_148 * 1024,
        swap_free: 2_097_000 * 1024,
    };
    assert_eq!(memory(text), Some(expected));
    assert_eq!(memory(""), None);
}

#[test]
fn unused_devices_are_left_out() {
    let text = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 58615 10613 5917274 19557 4805001 168122 75663824 4570262 0 71788 4606364 25060 22 30700688 8052 323013 8492
 259       1 nvme0n1p1 1 0 8 0 0 0 0 0 0 0 0
";
    let expected = [
        ("vda".to_owned(), Moved { into: 5_917_274 * 512, out_of: 75_663_824 * 512 }),
        ("nvme0n1p1".to_owned(), Moved { into: 4096, out_of: 0 }),
    ];
    assert_eq!(block_devices(text), expected);
}

#[test]
fn interfaces_have_no_heading() {
    let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 16969096  125098    0    0    0     0          0         0 16969096  125098    0    0    0     0       0          0
  ifb0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:259990396    9313    0    0    0     0          0         0   555799    6913    0    0    0     0       0          0
";
    let expected = [
        ("lo".to_owned(), Moved { into: 16_969_096, out_of: 16_969_096 }),
        ("eth0".to_owned(), Moved { into: 259_990_396, out_of: 555_799 }),
    ];
    assert_eq!(interfaces(text), expected);
}

#[test]
fn load_averages() {
    assert_eq!(load("2.00 1.88 1.20 2/93 17546\n"), Some(Load { one: 2.0, five: 1.88, fifteen: 1.2, threads: 93 }));
    assert_eq!(load("2.00\n"), None);
}

#[test]
fn mounts_of_real_devices_once() {
    let text = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684092k
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 254:0 /etc/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw,discard
40 27 8:17 / /media/my\\040disk rw,relatime shared:1 - vfat /dev/sdb1 rw
41 27 0:44 / /mnt/nas rw,relatime - nfs4 nas:/export rw
";
    assert_eq!(mounts(text), ["/", "/media/my disk"]);
    assert_eq!(mounts("1 0 0:50 / / rw - overlay overlay rw\n"), ["/"]);
}

#[test]
fn a_process_may_be_called_anything() {
    let text = "17548 (a) R (b c) R 17538 17538 5596 0 -1 4194304 100 0 0 0 20 7 0 0 20 0 1 0 207864 3133440 390 18446744073709551615";
    let expected = Process { pid: 17_548, name: "a) R (b c".to_owned(), ticks: 27, started: 207_864, pages: 390 };
    assert_eq!(process(text), Some(expected));
    assert_eq!(process("17548 (cat"), None);
    assert_eq!(process("17548 (cat) R 1 2"), None);
}

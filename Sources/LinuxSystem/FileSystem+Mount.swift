import CLinux
import Glibc

extension FileSystem {
    /// `BPF_FS_MAGIC` of `linux/magic.h`.
    private static let bpfMagic = 0xcafe_4a11

    /// Whether a path lies on a BPF file system, where programs and maps can be pinned.
    package static func isOnBPFFileSystem(_ path: String) -> Bool {
        unsafe clinux_file_system_magic(path) & 0xffff_ffff == bpfMagic
    }

    /// Mounts a BPF file system (`mount(2)`); needs CAP_SYS_ADMIN.
    package static func mountBPFFileSystem(at path: String) throws(Errno) {
        let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC)
        _ = try Errno.check(unsafe clinux_mount("bpf", path, "bpf", flags, "mode=0700"))
    }
}

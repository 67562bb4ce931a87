import CLibBPF
import LinuxSystem

/// How a program sits on an interface.
package enum AttachMode: String, Sendable {
    /// In the driver, before a packet gets its kernel buffer.
    case native
    /// After the driver, for drivers that cannot do better.
    case generic
}

/// Programs that an interface has now, by kernel number; 0: none.
struct InterfacePrograms: Equatable {
    var native: UInt32
    var generic: UInt32
    var hardware: UInt32

    var isEmpty: Bool { native == 0 && generic == 0 && hardware == 0 }

    var text: String {
        let parts = [("native", native), ("generic", generic), ("hardware", hardware)]
        return parts.filter { $0.1 != 0 }.map { "\($0.0) program \($0.1)" }
            .joined(separator: ", ")
    }
}

/// The tie between a program and an interface. While it is open or pinned, no other tool can take
/// the program off.
package final class KernelLink: Sendable {
    private let descriptor: OwnedFD

    private init(owning descriptor: consuming OwnedFD) {
        self.descriptor = descriptor
    }

    /// Puts a program on an interface (BPF_LINK_CREATE); fails with EBUSY or EEXIST where another
    /// program is.
    static func attach(
        _ program: KernelProgram,
        interface index: UInt32,
        mode: AttachMode
    ) throws(Errno) -> KernelLink {
        var options = unsafe bpf_link_create_opts()
        // Up to `flags` alone: libbpf wants all that it is told of behind it to be zero, and padding
        // need not be.
        unsafe options.sz = MemoryLayout<Int>.size + MemoryLayout<UInt32>.size
        // XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE of linux/if_link.h.
        unsafe options.flags = mode == .generic ? 1 << 1 : 1 << 2
        let result = unsafe bpf_link_create(
            program.descriptor.rawValue,
            Int32(index),
            BPF_XDP,
            &options
        )
        return KernelLink(owning: OwnedFD(owning: Int32(try Errno.check(Int(result)))))
    }

    /// Opens a pinned link.
    static func open(pinnedAt path: String) throws(Errno) -> KernelLink {
        let result = try Errno.check(Int(unsafe bpf_obj_get(path)))
        return KernelLink(owning: OwnedFD(owning: Int32(result)))
    }

    /// Pins the link.
    func pin(at path: String) throws(Errno) {
        _ = try Errno.check(Int(unsafe bpf_obj_pin(descriptor.rawValue, path)))
    }

    /// Takes the program off the interface now. Closing or unpinning alone does so a little later.
    func detach() throws(Errno) {
        _ = try Errno.check(Int(bpf_link_detach(descriptor.rawValue)))
    }

    /// The link's and its program's kernel numbers and its interface; 0: the interface is gone.
    struct Facts: Equatable {
        var link: UInt32
        var program: UInt32
        var interface: UInt32
    }

    /// Asks the kernel.
    func facts() throws(Errno) -> Facts {
        var info = bpf_link_info()
        var byteCount = UInt32(MemoryLayout<bpf_link_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &info, &byteCount)
        _ = try Errno.check(Int(result))
        return Facts(link: info.id, program: info.prog_id, interface: info.xdp.ifindex)
    }

    /// Replaces the program in one step, only if the link still has the program that `facts` told
    /// (compare-and-swap); packets are filtered throughout.
    ///
    /// - Throws: EPERM when another has replaced it meanwhile.
    func replace(with program: KernelProgram, expecting old: UInt32) throws(Errno) {
        let opened = try Errno.check(Int(bpf_prog_get_fd_by_id(old)))
        let expected = OwnedFD(owning: Int32(opened))
        var options = bpf_link_update_opts()
        options.sz = MemoryLayout<bpf_link_update_opts>.size
        options.flags = UInt32(BPF_F_REPLACE)
        options.old_prog_fd = UInt32(expected.rawValue)
        let result = unsafe bpf_link_update(
            descriptor.rawValue,
            program.descriptor.rawValue,
            &options
        )
        _ = try Errno.check(Int(result))
    }

    /// What sits on an interface now, whoever put it there.
    static func programs(on index: UInt32) throws(Errno) -> InterfacePrograms {
        var options = bpf_xdp_query_opts()
        // Up to `attach_mode`, the last field: libbpf wants the padding behind it to be zero.
        options.sz = MemoryLayout<Int>.size + 4 * MemoryLayout<UInt32>.size + 1
        _ = try Errno.check(Int(unsafe bpf_xdp_query(Int32(index), 0, &options)))
        var programs = InterfacePrograms(
            native: options.drv_prog_id,
            generic: options.skb_prog_id,
            hardware: options.hw_prog_id
        )
        // A single program is told by its mode alone: XDP_ATTACHED_DRV, _SKB, _HW.
        switch options.attach_mode {
        case 1: programs.native = options.prog_id
        case 2: programs.generic = options.prog_id
        case 3: programs.hardware = options.prog_id
        default: break
        }
        return programs
    }
}

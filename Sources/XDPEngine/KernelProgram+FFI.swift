import CLibBPF
import LinuxSystem

/// A loaded BPF program, held by its descriptor.
package final class KernelProgram: Sendable {
    let descriptor: OwnedFD

    init(owning descriptor: consuming OwnedFD) {
        self.descriptor = descriptor
    }

    /// The kernel's number of the program.
    var identifier: UInt32? {
        var info = bpf_prog_info()
        var byteCount = UInt32(MemoryLayout<bpf_prog_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &info, &byteCount)
        return result == 0 ? info.id : nil
    }
}

/// What a program did with a frame that was handed to it.
package struct ProgramRun: Equatable, Sendable {
    /// The program's return value; for XDP 1 is drop, 2 is pass.
    package var verdict: UInt32
    /// Mean time of one run.
    package var nanosecondsPerRun: UInt32
}

extension KernelProgram {
    /// Hands a frame to the program outside any interface (BPF_PROG_TEST_RUN). Maps change as they
    /// would by a real packet.
    ///
    /// - Parameter firstBufferByteCount: how much of the frame the program can reach directly; the
    ///   rest lies in further buffers. `nil`: as much as fits one page.
    package func run(
        frame: [UInt8],
        repeatCount: Int32 = 1,
        firstBufferByteCount: Int? = nil
    ) throws(Errno) -> ProgramRun {
        var options = unsafe bpf_test_run_opts()
        unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
        unsafe options.repeat = repeatCount
        unsafe options.data_size_in = UInt32(frame.count)
        var context = xdp_md()
        context.data_end = UInt32(firstBufferByteCount ?? frame.count)
        let hasContext = firstBufferByteCount != nil
        let result = unsafe frame.withUnsafeBytes { bytes in
            unsafe withUnsafeBytes(of: context) { contextBytes in
                unsafe options.data_in = bytes.baseAddress.map { unsafe UnsafeRawPointer($0) }
                if hasContext {
                    unsafe options.ctx_in = contextBytes.baseAddress
                    unsafe options.ctx_size_in = UInt32(contextBytes.count)
                }
                return unsafe bpf_prog_test_run_opts(descriptor.rawValue, &options)
            }
        }
        _ = try Errno.check(Int(result))
        return unsafe ProgramRun(verdict: options.retval, nanosecondsPerRun: options.duration)
    }
}

/// Why an object was not loaded.
package struct LoadError: Error, Equatable {
    /// The error of the step that failed.
    package var errno: Errno
    /// The step, and what the verifier said last.
    package var text: String
}

/// A program and the maps it works on.
struct LoadedObject {
    var program: KernelProgram
    var maps: [String: KernelMap]
}

/// Opens, checks and loads an object held in memory.
enum ObjectLoader {
    /// Bytes of the verifier's log that are kept.
    private static let logByteLimit = 65_536

    /// Loads one program of an object, with the given maps in place of new ones.
    static func load(
        object: [UInt8],
        program: String,
        reusing pinned: [String: KernelMap],
        entries: [String: UInt32] = [:]
    ) throws(LoadError) -> LoadedObject {
        _ = unsafe libbpf_set_print(nil)
        let log = UnsafeMutablePointer<CChar>.allocate(capacity: logByteLimit)
        unsafe log.initialize(repeating: 0, count: logByteLimit)
        defer { unsafe log.deallocate() }
        var options = unsafe bpf_object_open_opts()
        // Up to the last field: libbpf wants the padding behind it to be zero.
        let lastOffset = unsafe MemoryLayout<bpf_object_open_opts>.offset(of: \.kernel_log_level)
        unsafe options.sz = (lastOffset ?? 0) + MemoryLayout<UInt32>.size
        unsafe options.kernel_log_buf = log
        unsafe options.kernel_log_size = logByteLimit
        let opened = unsafe object.withUnsafeBytes { bytes in
            unsafe bpf_object__open_mem(bytes.baseAddress, bytes.count, &options)
        }
        guard let handle = unsafe opened else {
            throw LoadError(errno: .current(), text: "the embedded object cannot be read")
        }
        defer { unsafe bpf_object__close(handle) }
        for (name, count) in entries {
            guard let map = unsafe bpf_object__find_map_by_name(handle, name) else { continue }
            _ = unsafe bpf_map__set_max_entries(map, count)
        }
        unsafe try reuse(pinned, in: handle)
        let result = unsafe bpf_object__load(handle)
        guard result == 0 else {
            let lines = unsafe String(cString: log).split(separator: "\n")
            let last = lines.last { !$0.hasPrefix("processed") } ?? "no verifier log"
            throw LoadError(errno: Errno(-result), text: "the program was refused: \(last)")
        }
        return unsafe try collect(program: program, from: handle)
    }

    private static func reuse(
        _ pinned: [String: KernelMap],
        in handle: OpaquePointer
    ) throws(LoadError) {
        for (name, map) in pinned {
            guard let place = unsafe bpf_object__find_map_by_name(handle, name) else { continue }
            let result = unsafe bpf_map__reuse_fd(place, map.rawDescriptor)
            guard result == 0 else {
                throw LoadError(errno: Errno(-result), text: "the pinned map \(name) does not fit")
            }
        }
    }

    private static func collect(
        program: String,
        from handle: OpaquePointer
    ) throws(LoadError) -> LoadedObject {
        guard let found = unsafe bpf_object__find_program_by_name(handle, program) else {
            throw LoadError(errno: .notFound, text: "the object has no program \(program)")
        }
        do throws(Errno) {
            let descriptor = try OwnedFD(duplicating: unsafe bpf_program__fd(found))
            var maps: [String: KernelMap] = [:]
            var next = unsafe bpf_object__next_map(handle, nil)
            while let map = unsafe next {
                if let text = unsafe bpf_map__name(map) {
                    let name = unsafe String(cString: text)
                    let copy = try OwnedFD(duplicating: unsafe bpf_map__fd(map))
                    maps[name] = try KernelMap(name: name, owning: copy)
                }
                unsafe next = bpf_object__next_map(handle, map)
            }
            return LoadedObject(program: KernelProgram(owning: descriptor), maps: maps)
        } catch {
            throw LoadError(errno: error, text: "a loaded map cannot be read")
        }
    }
}

import CLibBPF
import LinuxSystem
import Synchronization

/// A BPF map, by bytes. Every call is one system call and may be made on any thread.
package final class KernelMap: Sendable {
    /// The name in the object, which is also the pin's.
    let name: String
    let keyByteCount: Int
    let valueByteCount: Int
    let capacity: Int
    private let kind: UInt32
    private let refused = Atomic<UInt64>(0)
    private let descriptor: OwnedFD

    /// Takes ownership of a map's descriptor and asks the kernel for its shape.
    init(name: String, owning descriptor: consuming OwnedFD) throws(Errno) {
        var info = bpf_map_info()
        var byteCount = UInt32(MemoryLayout<bpf_map_info>.size)
        let result = unsafe bpf_obj_get_info_by_fd(descriptor.rawValue, &info, &byteCount)
        _ = try Errno.check(Int(result))
        self.name = name
        keyByteCount = Int(info.key_size)
        valueByteCount = Int(info.value_size)
        capacity = Int(info.max_entries)
        kind = info.type
        self.descriptor = descriptor
    }

    /// Opens a pinned map.
    convenience init(name: String, pinnedAt path: String) throws(Errno) {
        let result = try Errno.check(Int(unsafe bpf_obj_get(path)))
        try self.init(name: name, owning: OwnedFD(owning: Int32(result)))
    }

    /// Updates refused because the map was full.
    var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

    /// Hash maps say E2BIG, tries ENOSPC.
    private static func isFull(_ result: Int32) -> Bool { result == -7 || result == -28 }

    /// Whether two maps have the same kind, sizes and capacity.
    func hasShape(of other: KernelMap) -> Bool {
        (kind, keyByteCount, valueByteCount, capacity)
            == (other.kind, other.keyByteCount, other.valueByteCount, other.capacity)
    }

    /// Pins the map; the folder must lie on a BPF file system.
    func pin(at path: String) throws(Errno) {
        _ = try Errno.check(Int(unsafe bpf_obj_pin(descriptor.rawValue, path)))
    }

    /// The descriptor, for libbpf alone.
    var rawDescriptor: Int32 { descriptor.rawValue }

    /// Values of one key: as many bytes as a value has, times cores for per-CPU maps.
    func value(_ key: [UInt8], copies: Int = 1) throws(Errno) -> [UInt8]? {
        var value = [UInt8](repeating: 0, count: (valueByteCount + 7) / 8 * 8 * copies)
        let result = unsafe bpf_map_lookup_elem(descriptor.rawValue, key, &value)
        guard result != -Errno.notFound.rawValue else { return nil }
        _ = try Errno.check(Int(result))
        return copies == 1 ? Array(value.prefix(valueByteCount)) : value
    }

    /// Makes or replaces an entry.
    func update(_ key: [UInt8], _ value: [UInt8]) throws(Errno) {
        precondition(key.count == keyByteCount && value.count >= valueByteCount)
        let result = unsafe bpf_map_update_elem(descriptor.rawValue, key, value, 0)
        if KernelMap.isFull(result) { refused.wrappingAdd(1, ordering: .relaxed) }
        _ = try Errno.check(Int(result))
    }

    /// Removes an entry.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    func remove(_ key: [UInt8]) throws(Errno) -> Bool {
        let result = unsafe bpf_map_delete_elem(descriptor.rawValue, key)
        guard result != -Errno.notFound.rawValue else { return false }
        _ = try Errno.check(Int(result))
        return true
    }

    /// Removes an entry and returns its value in one step. Hash maps only.
    func takeOut(_ key: [UInt8]) throws(Errno) -> [UInt8]? {
        var value = [UInt8](repeating: 0, count: valueByteCount)
        let result = unsafe bpf_map_lookup_and_delete_elem(descriptor.rawValue, key, &value)
        guard result != -Errno.notFound.rawValue else { return nil }
        _ = try Errno.check(Int(result))
        return value
    }

    /// All keys. Entries that come or go meanwhile may be missed or, rarely, met twice.
    func keys() throws(Errno) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var next = [UInt8](repeating: 0, count: keyByteCount)
        var result = unsafe bpf_map_get_next_key(descriptor.rawValue, nil, &next)
        while result == 0 && keys.count < capacity * 2 {
            keys.append(next)
            let current = next
            result = unsafe bpf_map_get_next_key(descriptor.rawValue, current, &next)
        }
        guard result == 0 || result == -Errno.notFound.rawValue else {
            throw Errno(-result)
        }
        return keys
    }

    /// Cores whose values a per-CPU map holds.
    static let possibleCoreCount = max(1, Int(libbpf_num_possible_cpus()))
}

/// Plain C structs as bytes and back.
enum Layout {
    /// The bytes of a value as it lies in memory.
    static func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] {
        unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
    }

    /// A value out of bytes, or `nil` when they are too few.
    static func value<Value: BitwiseCopyable>(
        _ bytes: [UInt8],
        at offset: Int = 0,
        as kind: Value.Type
    ) -> Value? {
        guard offset >= 0, bytes.count >= offset + MemoryLayout<Value>.size else { return nil }
        return unsafe bytes.withUnsafeBytes { raw in
            unsafe raw.loadUnaligned(fromByteOffset: offset, as: kind)
        }
    }
}

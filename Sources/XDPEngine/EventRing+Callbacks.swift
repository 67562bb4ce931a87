import Addressing
import CLibBPF
import CMeshMaps
import LinuxSystem

/// One packet that was dropped, or would have been: a sample, not every one.
package struct DropSample: Equatable, Sendable {
    /// CLOCK_MONOTONIC.
    package var timeNanoseconds: UInt64
    /// The packet's source.
    package var source: IPAddress
    /// The packet's destination; the port is 0 where there is none.
    package var destination: SocketAddress
    /// IP protocol number; 0 where no port was read.
    package var protocolNumber: UInt8
    /// Why.
    package var reason: PacketReason
    /// The frame's length.
    package var byteCount: UInt32
}

/// Collects what the ring hands out during one drain.
private final class SampleBox {
    var samples: [DropSample] = []
}

/// `ring_buffer_sample_fn`. Unpacks and forwards; decides nothing.
private func sampleArrived(
    _ context: UnsafeMutableRawPointer?,
    _ record: UnsafeMutableRawPointer?,
    _ byteCount: Int
) -> Int32 {
    guard let context = unsafe context, let record = unsafe record,
        byteCount >= MemoryLayout<mesh_event>.size
    else { return 0 }
    // SAFETY: called only inside `drain`, which keeps the box alive.
    let box = unsafe Unmanaged<SampleBox>.fromOpaque(context).takeUnretainedValue()
    let event = unsafe record.loadUnaligned(as: mesh_event.self)
    box.samples.append(DropSample(event))
    return 0
}

/// The shield's ring of samples.
enum EventRing {
    /// Takes every sample out of the ring. One caller at a time.
    static func drain(_ map: KernelMap) -> [DropSample] {
        let box = SampleBox()
        return withExtendedLifetime(box) {
            let context = unsafe Unmanaged.passUnretained(box).toOpaque()
            let opened = unsafe ring_buffer__new(map.rawDescriptor, sampleArrived, context, nil)
            guard let ring = unsafe opened else { return [] }
            defer { unsafe ring_buffer__free(ring) }
            _ = unsafe ring_buffer__consume(ring)
            return box.samples
        }
    }
}

/// What a loop tells a handler, and by which a handler knows its own things again.
public struct EventToken: Equatable, BitwiseCopyable, Sendable {
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(handler: UInt8, index: Int32, generation: UInt32) {
        rawValue =
            UInt64(handler) << 56 | UInt64(UInt32(index) & 0xff_ffff) << 32
            | UInt64(generation)
    }

    var handler: Int { Int(rawValue >> 56) }

    /// The slot, 0..<2^24.
    package var index: Int32 { Int32(truncatingIfNeeded: rawValue >> 32 & 0xff_ffff) }

    /// The slot's generation.
    package var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// The token as a slab's handle.
    package func handle<Element>(of type: Element.Type) -> Handle<Element> {
        Handle(index: index, generation: generation)
    }
}

/// What has become possible on a descriptor (`epoll(7)`, edge-triggered).
public struct Readiness: OptionSet, BitwiseCopyable, Sendable {
    /// The bits of `EPOLLIN` and its kin.
    public let rawValue: UInt32

    /// Makes a set of bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Bytes, an end or an error can be received.
    package static let readable = Readiness(rawValue: 0x001)
    /// Bytes can be sent.
    package static let writable = Readiness(rawValue: 0x004)
    /// An error is pending.
    package static let error = Readiness(rawValue: 0x008)
    /// Both directions have ended, or the connection was reset.
    package static let hangUp = Readiness(rawValue: 0x010)
    /// The peer has ended its sending direction.
    package static let peerEnded = Readiness(rawValue: 0x2000)

    static let edgeTriggered = Readiness(rawValue: 1 << 31)
    static let exclusive = Readiness(rawValue: 1 << 28)
}

/// A part of a worker that owns descriptors and timers of its loop. All calls come on the loop's
/// thread.
open class EventHandler {
    /// The loop it is registered with.
    package final let loop: EventLoop
    /// Its number at that loop.
    final let identifier: UInt8

    /// Registers a new handler with a loop, for as long as the loop lives.
    package init(loop: EventLoop) {
        self.loop = loop
        identifier = loop.nextHandlerIdentifier()
        loop.register(self)
    }

    /// A descriptor of this handler is ready.
    open func ready(_ token: EventToken, _ readiness: Readiness) {
        preconditionFailure("a handler that watches descriptors overrides ready")
    }

    /// The loop has handled all events of a turn; `loop.nowNanoseconds` is fresh. Timers are
    /// advanced and gathered output is sent here.
    open func endTurn() {}

    /// Milliseconds until this handler wants a turn at the latest; -1 for no matter.
    open func waitMilliseconds() -> Int32 { -1 }

    /// The shorter of two waits in milliseconds; -1 is no end.
    package static func sooner(_ one: Int32, _ other: Int32) -> Int32 {
        if one < 0 { return other }
        return other < 0 ? one : min(one, other)
    }
}

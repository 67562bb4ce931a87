import Addressing

/// What is known of one name's addresses of one kind, and when it is asked for again. Pure.
struct NameRecord: Equatable, Sendable {
    /// The bounds of how long an answer is believed, seconds: a server that says 0 is not asked
    /// all the time, one that says a year is asked again.
    static let secondsRange: ClosedRange<UInt32> = 5...3_600
    /// How long it is believed that a name is not there.
    static let absenceSecondsMax: UInt32 = 300
    /// The longest wait after failures, whose waits double from the shortest time on, seconds.
    static let failureSecondsMax: UInt32 = 60
    /// Addresses of one name and kind that are used.
    static let addressMax = 32

    private(set) var addresses: [IPAddress] = []
    /// When it is asked for again, monotonic nanoseconds.
    private(set) var dueNanoseconds: UInt64 = 0
    private(set) var failureCount: UInt32 = 0

    /// Takes what a lookup has found; `nil` where no server could say: what is known stands.
    mutating func take(_ outcome: NameQuery.Outcome?, now: UInt64) {
        var seconds = NameRecord.secondsRange.lowerBound
        if let outcome {
            failureCount = 0
            let usable = outcome.addresses.filter(NameRecord.isUsable)
            if usable.count > NameRecord.addressMax { DiscoveryLimits.nameAddresses.reached() }
            addresses = Array(usable.prefix(NameRecord.addressMax))
            let most =
                usable.isEmpty ? NameRecord.absenceSecondsMax : NameRecord.secondsRange.upperBound
            seconds = min(max(outcome.seconds, seconds), most)
        } else {
            seconds = min(seconds << min(failureCount, 8), NameRecord.failureSecondsMax)
            failureCount += 1
        }
        dueNanoseconds = now + UInt64(seconds) * 1_000_000_000
    }

    /// A name must not lead to this node itself or to the cloud's metadata server (loopback,
    /// link-local, unspecified and multicast addresses).
    static func isUsable(_ ip: IPAddress) -> Bool {
        if ip.isIPv4 {
            let bits = ip.v4Bits
            let first = bits >> 24
            return first != 0 && first != 127 && bits >> 16 != 0xa9fe && first < 224
        }
        let prefix = ip.high >> 48
        return !(ip.high == 0 && ip.low <= 1) && prefix & 0xffc0 != 0xfe80 && prefix < 0xff00
    }
}

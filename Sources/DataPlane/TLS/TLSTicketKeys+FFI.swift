import COpenSSL
import LinuxSystem
import Synchronization

/// The keys that session tickets of one virtual host are sealed by (RFC 5077, RFC 8446 section
/// 4.6.1): random, in memory only, shared by all workers, renewed as time goes.
///
/// A key makes tickets for `lifetime` and opens them for twice as long; then it is forgotten, so
/// that what was recorded cannot be read by who takes the process later. Tickets of another virtual
/// host carry the name of a key that is not here, and begin full handshakes.
package final class TLSTicketKeys: Sendable {
    /// One key: what names it in a ticket, and what it seals by.
    struct Key: Sendable {
        /// 16 bytes.
        var name: [UInt8]
        /// AES-256 in CBC.
        var cipher: [UInt8]
        /// HMAC with SHA-256.
        var mac: [UInt8]
        var madeNanoseconds: UInt64
    }

    static let nameByteCount = 16
    static let secretByteCount = 32
    private let lifetimeNanoseconds: UInt64
    private let now: @Sendable () -> UInt64
    private let keys = Mutex<[Key]>([])

    /// Makes a ring without keys: the first ticket makes the first.
    ///
    /// - Parameters:
    ///   - lifetime: how long a key makes tickets; at least a second.
    ///   - now: a monotonic clock, nanoseconds.
    package init(
        lifetime: Duration,
        now: @escaping @Sendable () -> UInt64 = { Clock.monotonicNanoseconds() }
    ) {
        lifetimeNanoseconds = UInt64(max(1, lifetime.components.seconds)) * 1_000_000_000
        self.now = now
    }

    /// The key that makes tickets now; `nil` where the system has no randomness.
    func current() -> Key? {
        let time = now()
        return keys.withLock { keys in
            keys.removeAll { time &- $0.madeNanoseconds >= 2 * lifetimeNanoseconds }
            if let newest = keys.last, time &- newest.madeNanoseconds < lifetimeNanoseconds {
                return newest
            }
            guard let made = TLSTicketKeys.make(time) else { return nil }
            keys.append(made)
            return made
        }
    }

    /// The key a ticket names, and whether it still makes tickets.
    func key(named name: [UInt8]) -> (key: Key, isCurrent: Bool)? {
        let time = now()
        return keys.withLock { keys in
            guard let key = keys.first(where: { $0.name == name }) else { return nil }
            let age = time &- key.madeNanoseconds
            guard age < 2 * lifetimeNanoseconds else { return nil }
            return (key, age < lifetimeNanoseconds)
        }
    }

    private static func make(_ time: UInt64) -> Key? {
        guard let name = random(nameByteCount), let cipher = random(secretByteCount),
            let mac = random(secretByteCount)
        else { return nil }
        return Key(name: name, cipher: cipher, mac: mac, madeNanoseconds: time)
    }

    private static func random(_ byteCount: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        return unsafe RAND_bytes(&bytes, Int32(byteCount)) == 1 ? bytes : nil
    }
}

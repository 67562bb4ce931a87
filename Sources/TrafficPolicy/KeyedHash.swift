/// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that cannot be steered or turned around by
/// one who does not know what goes in. The same on every node and in every run.
package enum KeyedHash {
    /// The hash of some bytes.
    ///
    /// - Parameters:
    ///   - key: keeps uses apart; two uses with different keys have nothing to do with each other.
    ///   - byteAt: a byte by its position.
    package static func of(
        byteCount: Int,
        key: UInt64,
        _ byteAt: (Int) -> UInt8
    ) -> UInt64 {
        var state = State(key)
        var word: UInt64 = 0
        for index in 0..<byteCount {
            word |= UInt64(byteAt(index)) << UInt64((index & 7) * 8)
            guard index & 7 == 7 else { continue }
            state.take(word)
            word = 0
        }
        state.take(word | UInt64(truncatingIfNeeded: byteCount) << 56)
        return state.finished()
    }

    /// The hash of a text's bytes in UTF-8.
    package static func of(_ text: String, key: UInt64) -> UInt64 {
        let bytes = Array(text.utf8)
        return of(byteCount: bytes.count, key: key) { bytes[$0] }
    }

    /// The hash of some words.
    package static func of(_ first: UInt64, _ second: UInt64 = 0, key: UInt64) -> UInt64 {
        var state = State(key)
        state.take(first)
        state.take(second)
        state.take(16 << 56)
        return state.finished()
    }

    private struct State {
        private var v0: UInt64
        private var v1: UInt64
        private var v2: UInt64
        private var v3: UInt64

        init(_ key: UInt64) {
            v0 = 0x736f_6d65_7073_6575 ^ key
            v1 = 0x646f_7261_6e64_6f6d ^ ~key
            v2 = 0x6c79_6765_6e65_7261 ^ key
            v3 = 0x7465_6462_7974_6573 ^ ~key
        }

        mutating func take(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finished() -> UInt64 {
            v2 ^= 0xff
            for _ in 0..<4 { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }

        private mutating func round() {
            v0 &+= v1
            v1 = v1 << 13 | v1 >> 51
            v1 ^= v0
            v0 = v0 << 32 | v0 >> 32
            v2 &+= v3
            v3 = v3 << 16 | v3 >> 48
            v3 ^= v2
            v0 &+= v3
            v3 = v3 << 21 | v3 >> 43
            v3 ^= v0
            v2 &+= v1
            v1 = v1 << 17 | v1 >> 47
            v1 ^= v2
            v2 = v2 << 32 | v2 >> 32
        }
    }
}

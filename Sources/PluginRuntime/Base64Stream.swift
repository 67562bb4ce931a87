import DataPlane

/// Base64 (RFC 4648 section 4) of bodies in pieces.
enum Base64Stream {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )
    private static let padding = UInt8(ascii: "=")

    /// Encodes a piece, padded: it can be read before another comes.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var bits: UInt32 = 0
            for offset in 0..<3 {
                bits = bits << 8 | (offset < count ? UInt32(bytes[start + offset]) : 0)
            }
            for digit in 0..<4 {
                let value = Int(bits >> UInt32(18 - 6 * digit) & 63)
                output.append(digit <= count ? alphabet[value] : padding)
            }
        }
        return output
    }

    /// Reads digits; up to three wait for the next piece. Padding may stand within a body, where
    /// several encoded messages follow each other.
    struct Decoder {
        private var bits: UInt32 = 0
        private var digitCount = 0
        private var padCount = 0

        /// Decodes a piece; `nil` when it is no base64, or ends within a group.
        mutating func decode(_ bytes: RawSpan, ends: Bool) -> [UInt8]? {
            var output: [UInt8] = []
            output.reserveCapacity(bytes.byteCount / 4 * 3 + 3)
            for offset in 0..<bytes.byteCount {
                let byte = bytes.loadByte(at: offset)
                if byte == padding {
                    guard digitCount >= 2 else { return nil }
                    padCount += 1
                    bits <<= 6
                } else {
                    guard padCount == 0, let value = value(of: byte) else { return nil }
                    bits = bits << 6 | value
                }
                digitCount += 1
                guard digitCount == 4 else { continue }
                for position in 0..<(3 - padCount) {
                    output.append(UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * position)))
                }
                (bits, digitCount, padCount) = (0, 0, 0)
            }
            return ends && digitCount != 0 ? nil : output
        }

        private func value(of byte: UInt8) -> UInt32? {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte) - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte) + 4
            case UInt8(ascii: "+"): 62
            case UInt8(ascii: "/"): 63
            default: nil
            }
        }
    }
}

/// The BPF objects that the build embeds.
enum EmbeddedObject {
    /// The shield's object file.
    static var shield: [UInt8] { decode(shieldObjectBase64.description) }

    /// RFC 4648 section 4; made by our own build, so never malformed.
    static func decode(_ text: String) -> [UInt8] {
        var digits = [UInt8](repeating: 0, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
        for (value, character) in alphabet.enumerated() { digits[Int(character)] = UInt8(value) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var bitCount = 0
        for character in text.utf8 where character != UInt8(ascii: "=") {
            group = group << 6 | UInt32(digits[Int(character)])
            bitCount += 6
            guard bitCount >= 8 else { continue }
            bitCount -= 8
            bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bitCount)))
        }
        return bytes
    }
}

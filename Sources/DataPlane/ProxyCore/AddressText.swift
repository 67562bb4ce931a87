import Addressing

/// The text of a socket address, kept with the connection that has it: 24 plain bytes, enough for
/// IPv4 with a port. Longer texts (IPv6) are written anew each time.
struct AddressText: BitwiseCopyable {
    /// Up to 21 bytes of text; then the byte counts of the address alone and of the whole.
    private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)

    /// The text of no address: whoever needs one writes it anew.
    init() {}

    /// Renders an address, by way of a scratch region.
    init(_ address: SocketAddress, _ scratch: ScratchBuffer) {
        guard address.ip.isIPv4 else { return }
        scratch.reset()
        scratch.append(address: address.ip)
        let host = UInt64(scratch.count)
        scratch.append(byte: UInt8(ascii: ":"))
        scratch.append(decimal: UInt64(address.port))
        let whole = UInt64(scratch.count)
        let bytes = scratch.bytes(0, 24)
        let last = bytes.word(at: 16) & 0xff_ffff_ffff | host << 40 | whole << 48
        words = (bytes.word(at: 0), bytes.word(at: 8), last)
    }

    /// Bytes of the address alone; 0 when there is no text.
    var hostByteCount: Int { Int(words.2 >> 40 & 0xff) }
    /// Bytes with colon and port; 0 when there is no text.
    var byteCount: Int { Int(words.2 >> 48) }

    /// Writes the first bytes of the text.
    @inline(__always)
    func write(_ byteCount: Int, to target: ScratchBuffer) {
        target.append(words: words, byteCount: byteCount)
    }

    /// Writes the whole text to a line.
    @inline(__always)
    func write(to line: inout LineCursor) { line.write(words: words, byteCount: byteCount) }
}

/// Builds one netlink message: header, fixed part, attributes (`netlink(7)`). Headers are in host
/// byte order; what nf_tables wants in network byte order is said by the method's name.
package struct NetlinkMessage: Sendable {
    /// Flags of a request.
    package struct Flags: OptionSet, Sendable {
        /// The bits.
        package let rawValue: UInt16

        /// Makes a set of bits.
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A request.
        package static let request = Flags(rawValue: 0x1)
        /// An answer is wanted in any case.
        package static let acknowledge = Flags(rawValue: 0x4)
        /// All objects (`NLM_F_ROOT | NLM_F_MATCH`).
        package static let dump = Flags(rawValue: 0x300)
        /// Replace what exists.
        package static let replace = Flags(rawValue: 0x100)
        /// Fail if it exists.
        package static let exclusive = Flags(rawValue: 0x200)
        /// Make it if it does not exist.
        package static let create = Flags(rawValue: 0x400)
        /// Put it last.
        package static let append = Flags(rawValue: 0x800)
    }

    /// What it is about, for error texts.
    package let subject: String
    /// The message without its final length.
    private var bytes: [UInt8] = []

    /// Begins a message; its sequence number is set when it is sent.
    package init(type: UInt16, flags: Flags, subject: String) {
        self.subject = subject
        append(UInt32(0))
        append(type)
        append(flags.union(.request).rawValue)
        append(UInt32(0))
        append(UInt32(0))
    }

    /// Adds flags.
    mutating func setFlags(_ flags: Flags) {
        bytes[6] |= UInt8(truncatingIfNeeded: flags.rawValue)
        bytes[7] |= UInt8(truncatingIfNeeded: flags.rawValue >> 8)
    }

    /// Appends fixed bytes.
    package mutating func append(_ fixed: [UInt8]) { bytes += fixed }

    /// Appends a number in host byte order.
    package mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        for index in 0..<(Number.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> Number(8 * index)))
        }
    }

    /// Appends an attribute of raw bytes, padded to four.
    package mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
        append(UInt16(value.count + 4))
        append(type)
        bytes += value
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    /// Appends a text attribute with its final NUL.
    package mutating func attribute(_ type: UInt16, _ text: String) {
        attribute(type, Array(text.utf8) + [0])
    }

    /// Appends a 32-bit attribute in host byte order.
    package mutating func attribute(_ type: UInt16, host number: UInt32) {
        attribute(type, (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) })
    }

    /// Appends a 32-bit attribute in network byte order.
    package mutating func attribute(_ type: UInt16, network number: UInt32) {
        attribute(type, (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) })
    }

    /// Appends an attribute made of attributes.
    package mutating func nested(_ type: UInt16, _ body: (inout NetlinkMessage) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type | 0x8000)
        body(&self)
        let length = bytes.count - start
        bytes[start] = UInt8(truncatingIfNeeded: length)
        bytes[start + 1] = UInt8(truncatingIfNeeded: length >> 8)
    }

    /// The finished message.
    package func finished(sequence: UInt32) -> [UInt8] {
        var result = bytes
        for index in 0..<4 {
            result[index] = UInt8(truncatingIfNeeded: bytes.count >> (8 * index))
            result[8 + index] = UInt8(truncatingIfNeeded: sequence >> UInt32(8 * index))
        }
        return result
    }
}

/// A message that the kernel sent.
package struct NetlinkReply: Sendable {
    /// Its type.
    package let type: UInt16
    /// The request's sequence number.
    package let sequence: UInt32
    /// What follows the header.
    package let payload: [UInt8]

    /// The error number of an error message; 0 for an acknowledgement.
    var errorNumber: Int32? {
        guard type == 2, payload.count >= 4 else { return nil }
        return -Int32(truncatingIfNeeded: Int(NetlinkReply.number(payload, 0, 4)))
    }

    /// Splits what was received into messages; stops at what is malformed.
    static func split(_ bytes: ArraySlice<UInt8>) -> [NetlinkReply] {
        var replies: [NetlinkReply] = []
        var rest = bytes
        while rest.count >= 16 {
            let head = Array(rest.prefix(16))
            let length = Int(number(head, 0, 4))
            guard length >= 16, length <= rest.count else { break }
            replies.append(
                NetlinkReply(
                    type: UInt16(number(head, 4, 2)),
                    sequence: UInt32(number(head, 8, 4)),
                    payload: Array(rest.dropFirst(16).prefix(length - 16))
                )
            )
            rest = rest.dropFirst(min((length + 3) & ~3, rest.count))
        }
        return replies
    }

    /// A number in host byte order, sign kept for four bytes.
    static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int64 {
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        return count == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(value)
    }

    /// The attributes that follow `offset` bytes of fixed content.
    package func attributes(after offset: Int) -> [UInt16: [UInt8]] {
        var found: [UInt16: [UInt8]] = [:]
        var at = offset
        while at + 4 <= payload.count {
            let length = Int(NetlinkReply.number(payload, at, 2))
            let type = UInt16(NetlinkReply.number(payload, at + 2, 2)) & 0x3fff
            guard length >= 4, at + length <= payload.count else { break }
            found[type] = Array(payload[(at + 4)..<(at + length)])
            at += (length + 3) & ~3
        }
        return found
    }
}

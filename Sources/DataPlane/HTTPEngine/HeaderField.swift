/// One header field as offsets into the buffer its head stands in: 16 plain bytes.
///
/// Offsets count from the start of the span that was parsed. A field of HTTP/2 has no raw line.
package struct HeaderField: BitwiseCopyable, Sendable, Equatable {
    /// What the codec found out about a field while reading it.
    package struct Flags: OptionSet, BitwiseCopyable, Sendable {
        /// The bits.
        package var rawValue: UInt8

        /// Makes a set of bits.
        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Meant for this hop only, by its name or because `Connection` names it (RFC 9110 section
        /// 7.6.1): never forwarded.
        package static let hopByHop = Flags(rawValue: 1)
        /// The name holds an underscore, which some backends read as a dash.
        package static let underscore = Flags(rawValue: 2)
        /// HPACK said "never indexed": the value is sensitive (RFC 7541 section 7.1.3).
        package static let neverIndexed = Flags(rawValue: 4)
    }

    /// Where the name begins; also where the raw line begins.
    package var nameOffset: UInt32
    /// Where the value begins, after leading whitespace.
    package var valueOffset: UInt32
    /// Bytes of the name, at least 1.
    package var nameLength: UInt16
    /// Bytes of the value without surrounding whitespace.
    package var valueLength: UInt16
    /// Bytes of the raw line with its CR LF; 0 when the field did not come from HTTP/1.
    package var lineLength: UInt16
    /// The name, when it is one of those the engine knows.
    package var id: HeaderID
    /// What is known about the field.
    package var flags: Flags

    /// Makes a field.
    @inline(__always)
    package init(
        nameOffset: UInt32 = 0,
        valueOffset: UInt32 = 0,
        nameLength: UInt16 = 0,
        valueLength: UInt16 = 0,
        lineLength: UInt16 = 0,
        id: HeaderID = .other,
        flags: Flags = []
    ) {
        self.nameOffset = nameOffset
        self.valueOffset = valueOffset
        self.nameLength = nameLength
        self.valueLength = valueLength
        self.lineLength = lineLength
        self.id = id
        self.flags = flags
    }

    /// The name's place in the buffer.
    package var nameRange: Range<Int> {
        Int(nameOffset)..<(Int(nameOffset) + Int(nameLength))
    }

    /// The value's place in the buffer.
    package var valueRange: Range<Int> {
        Int(valueOffset)..<(Int(valueOffset) + Int(valueLength))
    }

    /// The raw line's place in the buffer, CR LF included; empty when there is none.
    package var lineRange: Range<Int> {
        Int(nameOffset)..<(Int(nameOffset) + Int(lineLength))
    }
}
